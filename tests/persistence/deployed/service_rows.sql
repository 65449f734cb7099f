-- Rows of the four provider services.

INSERT INTO onus (id, onu_serial_no, building_id, onu_power_flag) VALUES (3230316, 'FHTT0001', 'B1', true);
INSERT INTO meters (meter_id, onu_id, building_id, oms_meter_id) VALUES
    ('M12345678', 3230316, 'B1', md5('M1')::uuid),
    ('M23456789', 3230316, 'B1', NULL);
INSERT INTO onu_events (event_id, onu_id, event_type, timestamp, raw_payload, meter_id)
SELECT 'onu_' || n, 3230316, 'ONU_LastGaspAlert', '2024-04-01T00:00:00Z', '{}', md5('M' || n)::uuid
FROM generate_series(1, 10) AS n;

INSERT INTO scada_events (
    id, event_type, substation_id, feeder_id, main_station_id, alarm_type, event_timestamp, voltage, severity,
    latitude, longitude, outage_event_id)
SELECT md5('E' || n)::uuid, 'MV_AlarmLossOfVoltage', 'SS001', 'FD001', '82001', 'De-energized',
       '2024-05-01T08:00:00Z', 0, 'Critical', 31.95, 35.93, CASE WHEN n = 1 THEN md5('O1')::uuid END
FROM generate_series(1, 5) AS n;
UPDATE scada_events SET latitude = 3195, longitude = 3593 WHERE id = md5('E5')::uuid;
INSERT INTO scada_event_affected_meters (scada_event_id, meter_id, meter_status_before, meter_status_after)
SELECT md5('E1')::uuid, md5('M' || n)::uuid, CASE n WHEN 1 THEN 'banana' ELSE 'on' END, 'off'
FROM generate_series(1, 10) AS n;

INSERT INTO callcenter_tickets (id, external_ticket_id, intake_id, intake_timestamp) VALUES
    (md5('T1')::uuid, 'TC_1', 'tc_1', '2024-05-01T08:05:00Z'),
    (md5('T2')::uuid, 'TC_1', 'tc_2', '2024-05-01T08:05:00Z');
INSERT INTO callcenter_customers (ticket_id, phone, meter_number, meter_id) VALUES
    (md5('T1')::uuid, '07900001', 'M00000001', md5('M1')::uuid),
    (md5('T2')::uuid, '07900001', ' M00000001 ', NULL);
INSERT INTO callcenter_raw_messages (ticket_id, raw_payload) VALUES (md5('T1')::uuid, '{"ticketId": "TC_1"}');

INSERT INTO kaifa_events (id, message_type, event_timestamp)
SELECT md5('KE' || n)::uuid, 'EndDeviceEvent', '2024-05-01T08:00:00Z' FROM generate_series(1, 8) AS n;
INSERT INTO kaifa_event_payloads (id, event_id, severity, event_type_ref)
SELECT md5('KP' || n)::uuid, md5('KE' || n)::uuid, 'Critical', 'PowerOutage' FROM generate_series(1, 8) AS n;
INSERT INTO kaifa_event_assets (payload_id, mrid, meter_id)
SELECT md5('KP' || n)::uuid, 'asset_' || n, md5('M' || n)::uuid FROM generate_series(1, 8) AS n;
INSERT INTO kaifa_event_usage_points (payload_id, mrid, meter_id)
SELECT md5('KP' || n)::uuid, 'up_' || n, md5('M' || n)::uuid FROM generate_series(1, 8) AS n;
INSERT INTO kaifa_event_details (payload_id, name, value)
SELECT md5('KP' || n)::uuid, 'Voltage', '214.29V' FROM generate_series(1, 8) AS n;
