-- The deployed database, written from its description: alter script 02.
-- Kept as it is in the field, faults included; the side that figures are compared with.

ALTER TABLE onu_events ADD COLUMN IF NOT EXISTS meter_id UUID;
ALTER TABLE meters ADD COLUMN IF NOT EXISTS oms_meter_id UUID;

CREATE INDEX IF NOT EXISTS idx_onu_events_meter ON onu_events (meter_id);
CREATE INDEX IF NOT EXISTS idx_meters_oms_meter ON meters (oms_meter_id);
