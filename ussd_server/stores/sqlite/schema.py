"""The tables of the embedded store's file, and how a file of an older version is brought up to them."""

APPLICATION_ID = 0x55535344
"""Marks the file as ours ("USSD"); `file` and SQLite show it."""

MIGRATIONS = (
    (
        """CREATE TABLE subscriber (
            msisdn INTEGER PRIMARY KEY,
            version INTEGER NOT NULL,
            record BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE journal (
            seq INTEGER PRIMARY KEY,
            msisdn INTEGER NOT NULL,
            at INTEGER NOT NULL,
            kind TEXT NOT NULL,
            data TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX journal_by_subscriber ON journal (msisdn, seq)",
        # `ready` is when the entry may be taken: when it is due, or when the lease of who holds it ends.
        """CREATE TABLE outbox (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            msisdn INTEGER NOT NULL,
            lane INTEGER NOT NULL,
            kind TEXT NOT NULL,
            due INTEGER NOT NULL,
            expires INTEGER NOT NULL,
            data TEXT NOT NULL,
            ready INTEGER NOT NULL,
            attempt INTEGER NOT NULL DEFAULT 0,
            reason TEXT NOT NULL DEFAULT ''
        ) STRICT""",
        "CREATE INDEX outbox_by_subscriber ON outbox (msisdn, lane, seq)",
        "CREATE INDEX outbox_by_time ON outbox (ready, seq)",
        """CREATE TABLE dead_letter (
            id TEXT NOT NULL,
            msisdn INTEGER NOT NULL,
            at INTEGER NOT NULL,
            kind TEXT NOT NULL,
            data TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            reason TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX dead_letter_by_subscriber ON dead_letter (msisdn)",
        # Versions of a forgotten number's next life begin above those of any earlier one.
        "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "INSERT INTO counter VALUES ('forgotten', 0), ('pings', 0)",
    ),
    (
        # Looking for one lane's work must not pass over what waits in another.
        "DROP INDEX outbox_by_time",
        "CREATE INDEX outbox_by_time ON outbox (lane, ready, seq)",
    ),
    (
        """CREATE TABLE terminal (
            id TEXT PRIMARY KEY,
            version INTEGER NOT NULL,
            record BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE nonce (
            terminal TEXT NOT NULL,
            nonce TEXT NOT NULL,
            until INTEGER NOT NULL,
            PRIMARY KEY (terminal, nonce)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX nonce_by_time ON nonce (until)",
        """CREATE TABLE answer (
            seq INTEGER PRIMARY KEY,
            terminal TEXT NOT NULL,
            key TEXT NOT NULL,
            msisdn INTEGER NOT NULL,
            fingerprint BLOB NOT NULL,
            body BLOB NOT NULL,
            expires INTEGER NOT NULL,
            UNIQUE (terminal, key)
        ) STRICT""",
        "CREATE INDEX answer_by_subscriber ON answer (msisdn)",
        "CREATE INDEX answer_by_time ON answer (expires)",
    ),
    (
        # A dead letter can be taken back: it is found by its id, and keeps what is needed to try it again. What is new
        # has a default: a server of the version before may still be running on this file, and bury.
        "ALTER TABLE outbox ADD COLUMN tried INTEGER NOT NULL DEFAULT 0",
        """CREATE TABLE dead (
            seq INTEGER PRIMARY KEY,
            msisdn INTEGER NOT NULL,
            id TEXT NOT NULL,
            kind TEXT NOT NULL,
            data TEXT NOT NULL,
            expires INTEGER NOT NULL DEFAULT 0,
            at INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            reason TEXT NOT NULL,
            UNIQUE (msisdn, id)
        ) STRICT""",
        """INSERT OR REPLACE INTO dead (msisdn, id, kind, data, expires, at, attempt, reason)
            SELECT msisdn, id, kind, data, 0, at, attempt, reason FROM dead_letter ORDER BY rowid""",
        "DROP TABLE dead_letter",
        "ALTER TABLE dead RENAME TO dead_letter",
        "CREATE INDEX dead_letter_by_kind ON dead_letter (kind)",
        "CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL) STRICT",
        "INSERT INTO mark VALUES (1, '')",
    ),
    ("ALTER TABLE mark ADD COLUMN keys TEXT NOT NULL DEFAULT ''",),
    (
        # The oldest of a kind are found without a look at the entries: those of one subscriber are all over the file.
        "DROP INDEX journal_by_subscriber",
        "CREATE INDEX journal_by_subscriber ON journal (msisdn, kind, seq)",
    ),
    ("CREATE TABLE brought (msisdn INTEGER PRIMARY KEY) STRICT",),
)
"""What each version added; a file knows how many of them it has had."""
