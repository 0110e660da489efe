-- The database's time.
SELECT now() AS now;
