-- Shape C has the table of affected meters without either foreign key, and no SCADA events at all.

INSERT INTO scada_event_affected_meters (scada_event_id, meter_id, meter_status_before, meter_status_after)
SELECT md5('E1')::uuid, md5('M' || n)::uuid, 'on', 'off' FROM generate_series(1, 3) AS n;
