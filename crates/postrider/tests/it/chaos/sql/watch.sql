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
-- Refuses what concerns one webhook while it says so, with an error of data that does not fit: of such a one, a single call is guilty.
-- (A broken CHECK would be taken for a missing partition.) `mixed` counts the groups in which a neighbour's row stood before it: a sequence
-- keeps its count when the group is taken back.
CREATE TABLE chaos.poison (account uuid, webhook uuid);
CREATE SEQUENCE chaos.mixed;
CREATE FUNCTION chaos.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE poison record;
BEGIN
    SELECT * INTO poison FROM chaos.poison;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    IF NEW.webhook = poison.webhook THEN
        IF current_setting('chaos.has_neighbour', true) = 'yes' THEN
            PERFORM nextval('chaos.mixed');
        END IF;
        RAISE EXCEPTION 'this row is poisoned' USING ERRCODE = '22023';
    END IF;
    IF NEW.account <> poison.account THEN
        PERFORM set_config('chaos.has_neighbour', 'yes', true);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON postrider.queue FOR EACH ROW EXECUTE FUNCTION chaos.refuse();
CREATE TRIGGER refuse BEFORE INSERT ON postrider.deliveries FOR EACH ROW EXECUTE FUNCTION chaos.refuse();
COMMIT;
