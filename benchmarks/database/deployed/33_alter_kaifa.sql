-- The deployed database, written from its description: alter script 03.
-- Kept as it is in the field, faults included; the side that figures are compared with.

ALTER TABLE kaifa_event_assets ADD COLUMN IF NOT EXISTS meter_id UUID;
ALTER TABLE kaifa_event_usage_points ADD COLUMN IF NOT EXISTS meter_id UUID;

CREATE INDEX IF NOT EXISTS idx_kaifa_assets_meter ON kaifa_event_assets (meter_id);
CREATE INDEX IF NOT EXISTS idx_kaifa_usage_points_meter ON kaifa_event_usage_points (meter_id);
