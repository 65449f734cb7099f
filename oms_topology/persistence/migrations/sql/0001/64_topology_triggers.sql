-- The marks of 62 on the contract's tables, and the first image of what the tables hold today.

CREATE TRIGGER oms_topology_insert AFTER INSERT ON public.network_substations
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.follow_substations();
CREATE TRIGGER oms_topology_update AFTER UPDATE ON public.network_substations
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.follow_substations();
CREATE TRIGGER oms_topology_delete AFTER DELETE ON public.network_substations
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_devices('substation');
CREATE TRIGGER oms_topology_truncate AFTER TRUNCATE ON public.network_substations
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_all_devices('substation');

CREATE TRIGGER oms_topology_insert AFTER INSERT ON public.network_feeders
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.follow_feeders();
CREATE TRIGGER oms_topology_update AFTER UPDATE ON public.network_feeders
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.follow_feeders();
CREATE TRIGGER oms_topology_delete AFTER DELETE ON public.network_feeders
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_devices('feeder');
CREATE TRIGGER oms_topology_truncate AFTER TRUNCATE ON public.network_feeders
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_all_devices('feeder');

CREATE TRIGGER oms_topology_insert AFTER INSERT ON public.network_distribution_points
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.follow_distribution_points();
CREATE TRIGGER oms_topology_update AFTER UPDATE ON public.network_distribution_points
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.follow_distribution_points();
CREATE TRIGGER oms_topology_refeed AFTER UPDATE ON public.network_distribution_points
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_refed_meters();
CREATE TRIGGER oms_topology_delete AFTER DELETE ON public.network_distribution_points
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_devices('distribution_point');
CREATE TRIGGER oms_topology_truncate AFTER TRUNCATE ON public.network_distribution_points
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_all_devices('distribution_point');

CREATE TRIGGER oms_topology_insert AFTER INSERT ON public.network_feeder_meters
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_feeder_mappings();
CREATE TRIGGER oms_topology_update AFTER UPDATE ON public.network_feeder_meters
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_feeder_mappings();
CREATE TRIGGER oms_topology_update_from AFTER UPDATE ON public.network_feeder_meters
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_feeder_mappings();
CREATE TRIGGER oms_topology_delete AFTER DELETE ON public.network_feeder_meters
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_feeder_mappings();
CREATE TRIGGER oms_topology_truncate AFTER TRUNCATE ON public.network_feeder_meters
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_mapped_meters();

CREATE TRIGGER oms_topology_insert AFTER INSERT ON public.network_substation_meters
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_substation_mappings();
CREATE TRIGGER oms_topology_update AFTER UPDATE ON public.network_substation_meters
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_substation_mappings();
CREATE TRIGGER oms_topology_update_from AFTER UPDATE ON public.network_substation_meters
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_substation_mappings();
CREATE TRIGGER oms_topology_delete AFTER DELETE ON public.network_substation_meters
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_substation_mappings();
CREATE TRIGGER oms_topology_truncate AFTER TRUNCATE ON public.network_substation_meters
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.mark_mapped_meters();

CREATE TRIGGER mark_moved BEFORE UPDATE OF parent_no ON oms_topology.device
    FOR EACH ROW WHEN (OLD.parent_no IS DISTINCT FROM NEW.parent_no) EXECUTE FUNCTION oms_topology.mark_device();
CREATE TRIGGER mark_surveyed AFTER UPDATE OF is_surveyed ON oms_topology.device
    FOR EACH ROW WHEN (OLD.is_surveyed IS DISTINCT FROM NEW.is_surveyed)
    EXECUTE FUNCTION oms_topology.mark_surveyed_meters();

-- New rows are marked by the column's default; an UPDATE of status never comes here.
CREATE TRIGGER oms_topology_mark
    BEFORE UPDATE OF substation_id, feeder_id, dp_id, status, meter_number, device_no ON public.oms_meters
    FOR EACH ROW
    WHEN (OLD.substation_id IS DISTINCT FROM NEW.substation_id OR OLD.feeder_id IS DISTINCT FROM NEW.feeder_id
          OR OLD.dp_id IS DISTINCT FROM NEW.dp_id OR OLD.status IS DISTINCT FROM NEW.status
          OR OLD.meter_number IS DISTINCT FROM NEW.meter_number
          -- settle() takes a mark away with the device it writes; anybody else is to be settled.
          OR OLD.device_no IS DISTINCT FROM NEW.device_no AND NOT OLD.supply_is_stale)
    EXECUTE FUNCTION oms_topology.mark_meter();
CREATE TRIGGER oms_topology_let_go BEFORE UPDATE OF supply_is_stale ON public.oms_meters
    FOR EACH ROW WHEN (NEW.supply_is_stale) EXECUTE FUNCTION oms_topology.let_go_of_deleted();
CREATE TRIGGER oms_topology_delete AFTER DELETE ON public.oms_meters
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_meters();
CREATE TRIGGER oms_topology_truncate AFTER TRUNCATE ON public.oms_meters
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_all_meters();

INSERT INTO oms_topology.device (kind, code, name, record_id, is_source, longitude, latitude)
SELECT 'substation', substation_id, name, id, true, location_lng, location_lat
FROM public.network_substations WHERE substation_id <> '' ORDER BY substation_id;
INSERT INTO oms_topology.device (kind, code, name, record_id, parent_no, normal_parent_no, longitude, latitude)
SELECT 'feeder', f.feeder_id, f.name, f.id, p.device_no, p.device_no, f.location_lng, f.location_lat
FROM public.network_feeders f
LEFT JOIN oms_topology.device p ON p.kind = 'substation' AND p.record_id = f.substation_id
WHERE f.feeder_id <> '' ORDER BY f.feeder_id;
INSERT INTO oms_topology.device (kind, code, name, record_id, parent_no, normal_parent_no, longitude, latitude)
SELECT 'distribution_point', d.dp_id, d.name, d.id, p.device_no, p.device_no, d.location_lng, d.location_lat
FROM public.network_distribution_points d
LEFT JOIN oms_topology.device p ON p.kind = 'feeder' AND p.record_id = d.feeder_id
WHERE d.dp_id <> '' ORDER BY d.dp_id;
