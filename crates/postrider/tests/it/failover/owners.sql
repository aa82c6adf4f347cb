SELECT count(DISTINCT owner) FROM postrider.slots WHERE owner IS NOT NULL
