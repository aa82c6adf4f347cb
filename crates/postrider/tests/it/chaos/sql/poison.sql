INSERT INTO chaos.poison SELECT account, id FROM postrider.webhooks WHERE id = 'WEBHOOK';
