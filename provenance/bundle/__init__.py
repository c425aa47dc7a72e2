"""What is handed over: report, exhibits and signed statement, in a folder or a .zip of it.

- `layout`: what lies where;
- `exhibits`: the numbers behind a p-value, as parquet that has one form only;
- `predicate`, `sealing`: what is signed about the files, signing it, packing it;
- `reading`: a bundle of unknown origin, opened without trusting it;
- `registration`: what an audit file fixes, as far as a report is held against it;
- `verification`: eleven numbered checks.
"""

from .exhibits import read_exhibit, write_exhibit

__all__ = ["read_exhibit", "write_exhibit"]
