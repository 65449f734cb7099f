-- Shape B has no foreign keys on the added columns: meters and outages that are gone are still pointed at.

UPDATE scada_events SET outage_event_id = md5('gone outage')::uuid WHERE id = md5('E2')::uuid;
UPDATE onu_events SET meter_id = md5('gone meter')::uuid WHERE event_id IN ('onu_3', 'onu_4');
UPDATE meters SET oms_meter_id = md5('gone meter')::uuid WHERE meter_id = 'M23456789';
UPDATE kaifa_event_assets SET meter_id = md5('gone meter')::uuid WHERE mrid = 'asset_2';
UPDATE kaifa_event_usage_points SET meter_id = md5('gone meter')::uuid WHERE mrid = 'up_2';
UPDATE callcenter_customers SET meter_id = md5('gone meter')::uuid WHERE ticket_id = md5('T2')::uuid;
INSERT INTO scada_event_affected_meters (scada_event_id, meter_id, meter_status_before, meter_status_after) VALUES
    (md5('E1')::uuid, md5('gone meter')::uuid, 'on', 'off'),
    (md5('E2')::uuid, md5('gone meter')::uuid, 'on', 'off');
