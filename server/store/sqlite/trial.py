"""Whether the file can be read and written, found by trying."""

import apsw

_TRIAL_BYTES = 256 * 1024


def look(db: apsw.Connection) -> None:
    """Read something; raises :class:`apsw.Error` when nothing can be read."""
    db.execute("select count(*) from sqlite_schema").fetchall()


def try_to_write(db: apsw.Connection) -> None:
    """Write as much as a large commit does: room for one page more is no room."""
    trial = "insert or replace into rec values ('ready','',zeroblob(?),'',1,0)"
    db.execute(trial, (_TRIAL_BYTES,))


def forget(db: apsw.Connection) -> None:
    """Take out what was written to try."""
    db.execute("delete from rec where kind='ready'")
