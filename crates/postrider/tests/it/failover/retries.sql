SELECT count(*) FROM postrider.queue WHERE attempts > 0
