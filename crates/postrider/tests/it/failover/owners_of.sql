SELECT count(DISTINCT owner) FROM postrider.slots WHERE slot IN (SLOTS)
