-- The drawn branches between the stored devices, replaced as a whole.
DELETE FROM oms_topology.branch b
USING new_device f, new_device t
WHERE f.device_no = b.from_no AND t.device_no = b.to_no;

INSERT INTO oms_topology.branch (from_no, to_no, kind, code, is_switch, normally_open, is_open)
SELECT f.device_no, t.device_no, n.kind, NULLIF(n.code, ''), n.is_switch, n.normally_open, n.is_open
FROM new_branch n
JOIN new_device f ON f.row_no = n.from_row
JOIN new_device t ON t.row_no = n.to_row
ORDER BY n.row_no;

SELECT oms_topology.settle();
