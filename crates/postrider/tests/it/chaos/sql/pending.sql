SELECT count(*) FROM postrider.queue WHERE webhook = 'WEBHOOK';
