-- The deployed database, written from its description: ONU service.
-- Kept as it is in the field, faults included; the side that figures are compared with.

CREATE TABLE IF NOT EXISTS onus (
    id INTEGER PRIMARY KEY,
    fibertech_id VARCHAR(50),
    building_id VARCHAR(50),
    region_code VARCHAR(10),
    onu_serial_no VARCHAR(100) UNIQUE,
    olt_name VARCHAR(200),
    area_fibertech VARCHAR(200),
    onu_power_flag BOOLEAN DEFAULT false,
    onu_power_flag_date TIMESTAMPTZ,
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_onus_building ON onus (building_id);
CREATE INDEX IF NOT EXISTS idx_onus_power_date ON onus (onu_power_flag_date);
CREATE INDEX IF NOT EXISTS idx_onus_power_flag ON onus (onu_power_flag);
CREATE INDEX IF NOT EXISTS idx_onus_serial ON onus (onu_serial_no);

CREATE TABLE IF NOT EXISTS meters (
    id SERIAL PRIMARY KEY,
    meter_id VARCHAR(50) NOT NULL UNIQUE,
    onu_id INTEGER REFERENCES onus(id) ON DELETE SET NULL,
    building_id VARCHAR(50),
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_meters_building ON meters (building_id);
CREATE INDEX IF NOT EXISTS idx_meters_meter_id ON meters (meter_id);
CREATE INDEX IF NOT EXISTS idx_meters_onu_id ON meters (onu_id);

CREATE TABLE IF NOT EXISTS onu_events (
    id SERIAL PRIMARY KEY,
    event_id VARCHAR(100) NOT NULL UNIQUE,
    onu_id INTEGER REFERENCES onus(id) ON DELETE SET NULL,
    event_type VARCHAR(50) NOT NULL,
    timestamp TIMESTAMPTZ NOT NULL,
    alarm_category VARCHAR(20),
    alarm_type VARCHAR(20),
    parcel_code VARCHAR(50),
    serial_number VARCHAR(100),
    location_lat NUMERIC(10,8),
    location_lng NUMERIC(11,8),
    nms_type VARCHAR(50),
    raw_payload JSONB NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX IF NOT EXISTS idx_onu_events_alarm_category ON onu_events (alarm_category);
CREATE INDEX IF NOT EXISTS idx_onu_events_event_id ON onu_events (event_id);
CREATE INDEX IF NOT EXISTS idx_onu_events_onu_id ON onu_events (onu_id);
CREATE INDEX IF NOT EXISTS idx_onu_events_timestamp ON onu_events ("timestamp" DESC);
CREATE INDEX IF NOT EXISTS idx_onu_events_type ON onu_events (event_type);

CREATE OR REPLACE FUNCTION onu_update_updated_at() RETURNS TRIGGER AS $$
BEGIN
    NEW.updated_at = CURRENT_TIMESTAMP;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER onu_onus_updated_at BEFORE UPDATE ON onus FOR EACH ROW EXECUTE FUNCTION onu_update_updated_at();

CREATE OR REPLACE FUNCTION insert_onu_event_from_json(json_data JSONB) RETURNS INTEGER AS $$
DECLARE
    v_event_id INTEGER;
    v_onu_id INTEGER := (json_data->>'onuId')::integer;
    v_type VARCHAR := json_data->>'type';
    v_time TIMESTAMPTZ := (json_data->>'timestamp')::timestamptz;
BEGIN
    INSERT INTO onus (id, onu_serial_no) VALUES (v_onu_id, json_data->>'onuSerial')
    ON CONFLICT (id) DO NOTHING;

    INSERT INTO onu_events (
        event_id, onu_id, event_type, timestamp, alarm_category, alarm_type, parcel_code, serial_number,
        location_lat, location_lng, nms_type, raw_payload)
    VALUES (
        json_data->>'eventId', v_onu_id, v_type, v_time, json_data->'alarmData'->>'category',
        json_data->'alarmData'->>'alarmType', json_data->'alarmData'->>'parcel', json_data->'alarmData'->>'serial',
        NULLIF(json_data->'location'->>'lat', '')::numeric, NULLIF(json_data->'location'->>'lng', '')::numeric,
        json_data->>'nmsType', json_data)
    RETURNING id INTO v_event_id;

    IF v_type IN ('ONU_LastGaspAlert', 'ONU_PowerRestored') THEN
        UPDATE onus SET onu_power_flag = (v_type = 'ONU_PowerRestored'), onu_power_flag_date = v_time
        WHERE id = v_onu_id;
    END IF;
    RETURN v_event_id;
END;
$$ LANGUAGE plpgsql;
