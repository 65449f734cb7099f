-- All meters find their place; then one rewrite brings each row, with what the registry says of it as its
-- first report (74), to a page with room for its changes; then the indexes are made in bulk.
SELECT oms_topology.settle();

-- What the upgrade found is the first network that can be asked for: nothing leads further back.
INSERT INTO oms_topology.topology_change (segment_nos, meter_count)
SELECT '{}', 0 WHERE NOT EXISTS (SELECT FROM oms_topology.topology_change);
DELETE FROM oms_topology.topology_before;

ALTER TABLE public.oms_meters
    ALTER COLUMN own_power_status TYPE varchar(20) USING CASE WHEN power_status = 'on' THEN 'on' END,
    ALTER COLUMN own_power_at TYPE timestamptz USING CASE WHEN power_status = 'on' THEN
        COALESCE(last_power_change, last_status_change, last_communication, created_at, '2000-01-01Z') END,
    ALTER COLUMN supply_lost_at TYPE timestamptz USING CASE WHEN power_status = 'off' THEN
        COALESCE(last_power_change, last_status_change, last_communication, created_at, '2000-01-01Z') END;

-- No index names a column that a status change writes; every one more column in an index is compared at each
-- change of a row, so the deployed one of latitude and longitude, which served no query, is not made again.
CREATE INDEX oms_meters_supply_idx ON public.oms_meters (segment_no, position_no, meter_no);
CREATE INDEX oms_meters_device_idx ON public.oms_meters (device_no);
CREATE INDEX oms_meters_stale_idx ON public.oms_meters (meter_no) WHERE supply_is_stale;
CREATE INDEX IF NOT EXISTS idx_oms_meters_asset_mrid ON public.oms_meters (asset_mrid);
CREATE INDEX IF NOT EXISTS idx_oms_meters_customer ON public.oms_meters (customer_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_dp ON public.oms_meters (dp_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_feeder ON public.oms_meters (feeder_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_onu_id ON public.oms_meters (onu_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_substation ON public.oms_meters (substation_id);
CREATE INDEX IF NOT EXISTS idx_oms_meters_usage_point_mrid ON public.oms_meters (usage_point_mrid);
CREATE INDEX IF NOT EXISTS idx_oms_meters_building ON public.oms_meters (building_id);
