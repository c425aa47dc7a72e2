"""What is handed over: report, exhibits and signed statement, in a folder or a .zip of it."""

from .exhibits import read_exhibit, write_exhibit

__all__ = ["read_exhibit", "write_exhibit"]
