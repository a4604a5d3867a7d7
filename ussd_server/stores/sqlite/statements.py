"""What the embedded store says to SQLite."""

LOAD = "SELECT version, record FROM subscriber WHERE msisdn = ?"
VERSION = "SELECT version FROM subscriber WHERE msisdn = ?"
INSERT = "INSERT OR IGNORE INTO subscriber (version, record, msisdn) VALUES (?, ?, ?)"
UPDATE = "UPDATE subscriber SET version = version + 1, record = ? WHERE msisdn = ? AND version = ?"
SETTLE = "DELETE FROM outbox WHERE id = ? AND msisdn = ?"
SETTLE_ALL = """DELETE FROM outbox
    WHERE id IN (SELECT value FROM json_each(?)) AND +msisdn IN (SELECT value FROM json_each(?))"""
NOTE = "INSERT INTO journal (msisdn, at, kind, data) VALUES (?, ?, ?, ?)"
TRIM = """DELETE FROM journal WHERE msisdn = ?1 AND kind = ?2 AND seq <= (
    SELECT seq FROM journal WHERE msisdn = ?1 AND kind = ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3
)"""
# One whose id is no text is known by its octets (`rows.letter_of`).
EXHUME = "DELETE FROM dead_letter WHERE msisdn = ?2 AND (id = ?1 OR 'damaged-x' || lower(hex(id)) = ?1)"
# Many rows by one statement cost half of what each costs by itself. OR FAIL: where one does not fit, the transaction is
# rolled back anyhow, and SQLite need not keep a copy of each page that is changed to take back this statement alone.
_ENTRY = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ENQUEUE = {
    rows: f"""INSERT OR FAIL INTO outbox (id, msisdn, lane, kind, due, expires, data, tried, ready, attempt)
    VALUES {", ".join([_ENTRY] * rows)}"""
    for rows in (64, 16, 4, 1)
}
WAITING = "SELECT DISTINCT msisdn, lane FROM outbox WHERE msisdn IN (SELECT value FROM json_each(?))"
# Entries behind a postponed one are looked at and passed over, about 2 µs each: fine while a subscriber has a few.
OLDEST = """NOT EXISTS (
    SELECT 1 FROM outbox earlier
    WHERE earlier.msisdn = entry.msisdn AND earlier.lane = entry.lane AND earlier.seq < entry.seq
)"""
# What waits is read as octets: text that is not UTF-8 would end the whole statement, and stop everybody.
CLAIMABLE = f"""SELECT seq, CAST(id AS BLOB), msisdn, CAST(kind AS BLOB), due, expires, CAST(data AS BLOB), tried,
    attempt FROM outbox entry WHERE lane = ? AND ready <= ? AND {OLDEST} ORDER BY ready, seq LIMIT ?"""
MEND = "UPDATE outbox SET id = ?, lane = ?, kind = ?, data = ? WHERE seq = ?"
HOLD = "UPDATE outbox SET ready = ?, attempt = attempt + 1 WHERE seq = ?"
# A postponed entry is ready when it is due; the lease on one that is held ends later.
RENEW = "UPDATE outbox SET ready = ? WHERE id = ? AND attempt = ? AND ready != due"
NEXT = f"SELECT ready FROM outbox entry WHERE lane = ? AND {OLDEST} ORDER BY ready, seq LIMIT 1"
POSTPONE = "UPDATE outbox SET due = ?1, ready = ?1, reason = ?2 WHERE id = ?3 AND attempt = ?4"
GIVE_UP = "DELETE FROM outbox WHERE id = ? AND attempt = ?"
BURY = """INSERT OR REPLACE INTO dead_letter (id, msisdn, at, kind, data, expires, attempt, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
DEAD_LETTERS = """SELECT CAST(id AS BLOB), CAST(kind AS BLOB), CAST(data AS BLOB), expires, at, attempt,
    CAST(reason AS BLOB) FROM dead_letter WHERE msisdn = ? ORDER BY seq"""
GIVEN_UP = "SELECT DISTINCT msisdn FROM dead_letter WHERE msisdn > ? ORDER BY msisdn LIMIT ?"
COUNT_DEAD = "SELECT CAST(kind AS BLOB), count(*) FROM dead_letter GROUP BY kind"
JOURNAL = """SELECT at, CAST(kind AS BLOB), CAST(data AS BLOB) FROM journal
    WHERE msisdn = ?1 AND (?2 IS NULL OR kind = ?2) ORDER BY seq DESC LIMIT ?3"""
WALK = "SELECT msisdn FROM subscriber WHERE msisdn > ? ORDER BY msisdn LIMIT ?"
KEEP = "INSERT OR IGNORE INTO answer (terminal, key, msisdn, fingerprint, body, expires) VALUES (?, ?, ?, ?, ?, ?)"
ANSWER = "SELECT fingerprint, body, expires FROM answer WHERE terminal = ? AND key = ?"
USE = "INSERT OR IGNORE INTO nonce (terminal, nonce, until) VALUES (?, ?, ?)"
LOAD_TERMINAL = "SELECT version, record FROM terminal WHERE id = ?"
ADD_TERMINAL = "INSERT OR IGNORE INTO terminal (record, id, version) VALUES (?1, ?2, ?3 + 1)"
UPDATE_TERMINAL = "UPDATE terminal SET version = version + 1, record = ? WHERE id = ? AND version = ?"
TERMINALS = "SELECT id, record FROM terminal ORDER BY id"
OVER = "SELECT EXISTS (SELECT 1 FROM nonce WHERE until <= ?1) OR EXISTS (SELECT 1 FROM answer WHERE expires <= ?1)"
SWEEP_NONCES = """DELETE FROM nonce WHERE (terminal, nonce) IN (
    SELECT terminal, nonce FROM nonce WHERE until <= ? ORDER BY until LIMIT ?
)"""
SWEEP_ANSWERS = """DELETE FROM answer WHERE seq IN (
    SELECT seq FROM answer WHERE expires <= ? ORDER BY expires LIMIT ?
)"""
COUNT = "SELECT count(*) FROM subscriber"
WHOLE_JOURNAL = "SELECT at, CAST(kind AS BLOB), CAST(data AS BLOB) FROM journal WHERE msisdn = ? ORDER BY seq"
WHOLE_OUTBOX = """SELECT ready, attempt, CAST(reason AS BLOB), seq, CAST(id AS BLOB), CAST(kind AS BLOB), due,
    CAST(data AS BLOB), expires, tried FROM outbox WHERE msisdn = ? ORDER BY seq"""
WHOLE_ANSWERS = """SELECT terminal, key, fingerprint, body, expires FROM answer
    WHERE msisdn = ? ORDER BY terminal, key"""
REPLACE = "UPDATE subscriber SET version = version + 1, record = ? WHERE msisdn = ?"
STAND = """INSERT INTO outbox (id, msisdn, lane, kind, due, expires, data, tried, ready, attempt, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
RESTORE_ANSWER = "INSERT INTO answer (terminal, key, msisdn, fingerprint, body, expires) VALUES (?, ?, ?, ?, ?, ?)"
NONCES = "SELECT terminal, nonce, until FROM nonce WHERE (terminal, nonce) > (?, ?) ORDER BY terminal, nonce LIMIT ?"
BRING = "INSERT OR IGNORE INTO brought (msisdn) VALUES (?)"
BROUGHT = "SELECT msisdn FROM brought WHERE msisdn > ? ORDER BY msisdn LIMIT ?"
NONE_BROUGHT = "DELETE FROM brought WHERE NOT EXISTS (SELECT 1 FROM mark WHERE text = ?)"
PASS = "INSERT OR IGNORE INTO counter VALUES ('passing', 1)"
PASS_NO_MORE = "DELETE FROM counter WHERE name = 'passing'"
MARK = "SELECT text FROM mark"
SET_MARK = "UPDATE mark SET text = ?"
NOTED_KEYS = "SELECT keys FROM mark"
NOTE_KEYS = "UPDATE mark SET keys = ?2 WHERE keys = ?1"
PING = "UPDATE counter SET value = value + 1 WHERE name = 'pings'"
