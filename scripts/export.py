"""The same as `posediff export`: python scripts/export.py task=lift3d output=exported"""

from posediff.exporting.export_model import main

if __name__ == "__main__":
    main()
