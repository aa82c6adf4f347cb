-- Notes who is a node and who owns which slot, and when that changed: what the test judges nodes by. No foreign keys, so that rows stay.
BEGIN;
CREATE SCHEMA chaos;
CREATE TABLE chaos.names (token uuid, name text);
CREATE TABLE chaos.owners (slot smallint, owner uuid, at timestamptz DEFAULT clock_timestamp());
LOCK TABLE postrider.nodes, postrider.slots IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO chaos.names SELECT token, name FROM postrider.nodes;
INSERT INTO chaos.owners SELECT slot, owner FROM postrider.slots;
CREATE FUNCTION chaos.note_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.names VALUES (NEW.token, NEW.name);
    RETURN NULL;
END $$;
CREATE FUNCTION chaos.note_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.owners (slot, owner) VALUES (NEW.slot, NEW.owner);
    RETURN NULL;
END $$;
CREATE TRIGGER note_name AFTER INSERT ON postrider.nodes FOR EACH ROW EXECUTE FUNCTION chaos.note_name();
CREATE TRIGGER note_owner AFTER UPDATE ON postrider.slots FOR EACH ROW
    WHEN (OLD.owner IS DISTINCT FROM NEW.owner) EXECUTE FUNCTION chaos.note_owner();
-- Refuses what concerns one webhook while it says so.
CREATE TABLE chaos.poison (webhook uuid);
CREATE FUNCTION chaos.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM chaos.poison WHERE webhook = NEW.webhook) THEN
        RAISE EXCEPTION 'this row is poisoned';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON postrider.queue FOR EACH ROW EXECUTE FUNCTION chaos.refuse();
CREATE TRIGGER refuse BEFORE INSERT ON postrider.deliveries FOR EACH ROW EXECUTE FUNCTION chaos.refuse();
COMMIT;
