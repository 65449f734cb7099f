-- Rows of the tables that every shape has. Ids are hashes of readable names, so that tests can name a row.

-- The samples of the old schema scripts, with the coordinates that they overwrite.
INSERT INTO network_substations (id, substation_id, name, location_lat, location_lng, region_code, voltage_level) VALUES
    (md5('SS001')::uuid, 'SS001', 'Amman Central', 31.95, 35.93, 'AM', '33kV'),
    (md5('SS002')::uuid, 'SS002', 'Amman East', 32.00, 35.95, 'AM', '33kV'),
    (md5('SS003')::uuid, 'SS003', 'Amman South', 31.93, 36.00, 'AM', '33kV');
INSERT INTO network_substations (id, substation_id, name, location_lat, location_lng, region_code)
SELECT md5('SS' || lpad(n::text, 3, '0'))::uuid, 'SS' || lpad(n::text, 3, '0'), 'Sub ' || n, 30 + n / 10.0, 36, 'IR'
FROM generate_series(4, 20) AS n;
-- A latitude that no place on earth has.
UPDATE network_substations SET location_lat = 95.5 WHERE substation_id = 'SS020';

INSERT INTO network_feeders (id, feeder_id, substation_id, name, capacity_kva)
SELECT md5('FD' || n)::uuid, 'FD' || lpad(n::text, 3, '0'), md5('SS001')::uuid, 'Feeder ' || n, 1000
FROM generate_series(1, 3) AS n;

INSERT INTO network_distribution_points (id, dp_id, feeder_id, name, building_id)
SELECT md5('DP' || n)::uuid, 'DP' || n, md5('FD' || (1 + n % 3))::uuid, 'Pillar ' || n, 'B' || n
FROM generate_series(1, 6) AS n;

INSERT INTO oms_customers (id, customer_id, phone, address, building_id, dp_id, location_lat, location_lng)
SELECT md5('C' || n)::uuid, 'CUST_' || n, '0790000' || n, 'Street ' || n, 'B' || (1 + n % 6),
       md5('DP' || (1 + n % 6))::uuid, 31.95, 35.93
FROM generate_series(1, 40) AS n;

INSERT INTO oms_smart_meters (meter_number, customer_id, asset_mrid) VALUES ('K1', md5('C1')::uuid, 'asset_1');
INSERT INTO oms_onu_devices (onu_id, onu_serial_no) VALUES (3230316, 'FHTT0001');

INSERT INTO oms_meters (
    id, meter_number, customer_id, substation_id, feeder_id, dp_id, location_lat, location_lng, power_status,
    communication_status, last_communication, status, onu_id, created_at, updated_at)
SELECT md5('M' || n)::uuid, 'M' || lpad(n::text, 8, '0'), md5('C' || n)::uuid, md5('SS001')::uuid,
       md5('FD' || (1 + n % 3))::uuid, md5('DP' || (1 + n % 6))::uuid, 31.95, 35.93 + n / 10000.0,
       CASE n % 3 WHEN 0 THEN 'off' ELSE 'on' END, 'online', '2024-05-01T10:00:00Z', 'active', 1000 + n,
       '2024-01-01T00:00:00Z', '2024-02-01T00:00:00Z'
FROM generate_series(1, 40) AS n;
-- Any text is accepted as a status, and no text at all.
UPDATE oms_meters SET power_status = 'banana' WHERE meter_number = 'M00000001';
UPDATE oms_meters SET power_status = 'ON', communication_status = ' Offline ' WHERE meter_number = 'M00000002';
UPDATE oms_meters SET power_status = NULL, communication_status = NULL WHERE meter_number = 'M00000004';
UPDATE oms_meters SET status = NULL WHERE meter_number = 'M00000005';
UPDATE oms_meters SET status = 'decomissioned' WHERE meter_number = 'M00000007';
UPDATE oms_meters SET status = 'inactive' WHERE meter_number = 'M00000008';
UPDATE oms_meters SET location_lat = -91, location_lng = 361 WHERE meter_number = 'M00000010';
-- The registry says one substation, the mapping another.
UPDATE oms_meters SET substation_id = md5('SS002')::uuid WHERE meter_number = 'M00000011';

INSERT INTO network_substation_meters (substation_id, meter_id, feeder_id, priority)
SELECT md5('SS001')::uuid, md5('M' || n)::uuid, md5('FD' || (1 + n % 3))::uuid, 2 FROM generate_series(1, 35) AS n;
INSERT INTO network_feeder_meters (feeder_id, meter_id)
SELECT md5('FD' || (1 + n % 3))::uuid, md5('M' || n)::uuid FROM generate_series(1, 35) AS n;
-- Meters without coordinates, mapped to all substations by the link script.
INSERT INTO network_substation_meters (substation_id, meter_id, priority)
SELECT s.id, md5('M' || n)::uuid, 3 FROM network_substations s, generate_series(36, 40) AS n;
UPDATE network_substation_meters SET priority = 9 WHERE meter_id = md5('M12')::uuid;

-- Each run of the migration repeats its status events.
INSERT INTO oms_meter_status_events (
    meter_id, event_type, source_type, source_event_id, previous_status, new_status, event_timestamp, confidence_score)
SELECT md5('M' || n)::uuid, 'power_off', 'onu', 'onu_' || n, 'on', 'off', '2024-04-01T00:00:00Z', 0.8
FROM generate_series(1, 10) AS n, generate_series(1, 3);
INSERT INTO oms_meter_status_events (
    meter_id, event_type, source_type, new_status, event_timestamp, confidence_score)
VALUES
    (md5('M1')::uuid, 'Power_Off', 'SCADA', 'banana', '2024-04-02T00:00:00Z', 1.7),
    (md5('M2')::uuid, 'meltdown', 'martian', 'off', '2024-04-02T00:00:00Z', 0.5);

INSERT INTO oms_outage_events (
    id, event_id, event_type, status, severity, confidence_score, affected_customers_count, substation_id,
    feeder_id, first_detected_at)
VALUES
    (md5('O1')::uuid, 'OMS_SCADA_1714550400_aaaaaaaa', 'outage', 'detected', 'Critical', 0.9, 10, md5('SS001')::uuid,
     md5('FD1')::uuid, '2024-05-01T08:00:00Z'),
    (md5('O2')::uuid, 'OMS_1714550401_bbbbbbbb', 'outage', 'detected', 'High', 0.5, 0, NULL, NULL,
     '2024-05-01T08:01:00Z'),
    (md5('O3')::uuid, 'OMS_1714550402_cccccccc', 'outage', 'closed', 'medium', 0.5, 0, NULL, NULL,
     '2024-05-01T08:02:00Z');
INSERT INTO oms_event_sources (outage_event_id, source_type, source_event_id, source_table, detected_at) VALUES
    (md5('O1')::uuid, 'scada', 'scada_1', 'scada_events', '2024-05-01T08:00:00Z'),
    (md5('O1')::uuid, 'onu', 'onu_1', 'source_events', '2024-05-01T08:00:10Z'),
    (md5('O2')::uuid, 'martian', 'x', 'source_events', '2024-05-01T08:01:00Z'),
    (md5('O2')::uuid, 'venusian', 'x', 'source_events', '2024-05-01T08:01:00Z');
INSERT INTO oms_event_timeline (outage_event_id, event_type, status, description)
SELECT id, 'detected', 'detected', 'Outage detected' FROM oms_outage_events;
INSERT INTO oms_customer_notifications (outage_event_id, customer_id, notification_type, channel) VALUES
    (md5('O1')::uuid, md5('C1')::uuid, 'outage_detected', 'sms');
INSERT INTO oms_crew_assignments (outage_event_id, crew_id, assignment_type, status) VALUES
    (md5('O1')::uuid, 'CREW-1', 'repair', 'work_completed');

-- The base script has run before: its rules stand twice. An operator has since changed one copy.
INSERT INTO oms_correlation_rules (rule_name, source_types)
SELECT 'Own Rule', ARRAY['onu'] WHERE NOT EXISTS (SELECT FROM oms_correlation_rules WHERE rule_name = 'Own Rule');
INSERT INTO oms_correlation_rules (
    rule_name, source_types, correlation_window_minutes, spatial_radius_meters, confidence_threshold, created_at,
    updated_at)
VALUES ('Standard Outage Detection', ARRAY['scada'], 45, 1500, 0.8, '2024-01-01T00:00:00Z', '2024-03-01T00:00:00Z');
INSERT INTO oms_storm_mode_config (auto_activation_threshold) VALUES (250), (100);
