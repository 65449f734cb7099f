-- The deployed database, written from its description: alter script 01.
-- Kept as it is in the field, faults included; the side that figures are compared with.

ALTER TABLE scada_events ADD COLUMN IF NOT EXISTS affected_meter_count INTEGER DEFAULT 0;
ALTER TABLE scada_events ADD COLUMN IF NOT EXISTS meters_checked_at TIMESTAMPTZ;
ALTER TABLE scada_events ADD COLUMN IF NOT EXISTS outage_event_id UUID;

CREATE TABLE IF NOT EXISTS scada_event_affected_meters (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    scada_event_id UUID NOT NULL,
    meter_id UUID NOT NULL,
    meter_status_before VARCHAR(20),
    meter_status_after VARCHAR(20),
    checked_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (scada_event_id, meter_id)
);

ALTER TABLE scada_event_affected_meters
    ADD CONSTRAINT fk_scada_affected_event FOREIGN KEY (scada_event_id) REFERENCES scada_events(id) ON DELETE CASCADE;

CREATE INDEX IF NOT EXISTS idx_scada_affected_meters_event ON scada_event_affected_meters (scada_event_id);
CREATE INDEX IF NOT EXISTS idx_scada_affected_meters_meter ON scada_event_affected_meters (meter_id);
CREATE INDEX IF NOT EXISTS idx_scada_events_outage ON scada_events (outage_event_id);
