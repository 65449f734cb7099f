-- The deployed database, written from its description: alter script 04.
-- Kept as it is in the field, faults included; the side that figures are compared with.

ALTER TABLE callcenter_customers ADD COLUMN IF NOT EXISTS meter_id UUID;

CREATE INDEX IF NOT EXISTS idx_callcenter_customers_meter ON callcenter_customers (meter_id);
