-- The drawn branches between the stored devices: left alone where they are the same, else replaced as a
-- whole, since their order decides between ways of equal length. What a changed branch joins is marked, so
-- that the version tells of a switch that moved even if nothing is fed differently.
CREATE TEMPORARY TABLE old_branch ON COMMIT DROP AS
SELECT b.branch_no, row_number() OVER (ORDER BY b.branch_no) AS place,
       b.from_no, b.to_no, b.kind, COALESCE(b.code, '') AS code, b.is_switch, b.normally_open, b.is_open
FROM oms_topology.branch b
JOIN new_device f ON f.device_no = b.from_no
JOIN new_device t ON t.device_no = b.to_no;

CREATE TEMPORARY TABLE changed_branch ON COMMIT DROP AS
SELECT COALESCE(o.from_no, n.from_no) AS from_no, COALESCE(o.to_no, n.to_no) AS to_no
FROM old_branch o
FULL JOIN (
    SELECT row_number() OVER (ORDER BY b.row_no) AS place, f.device_no AS from_no, t.device_no AS to_no,
           b.kind, COALESCE(b.code, '') AS code, b.is_switch, b.normally_open, b.is_open
    FROM new_branch b
    JOIN new_device f ON f.row_no = b.from_row
    JOIN new_device t ON t.row_no = b.to_row
) n USING (place)
WHERE (o.from_no, o.to_no, o.kind, o.code, o.is_switch, o.normally_open, o.is_open)
      IS DISTINCT FROM (n.from_no, n.to_no, n.kind, n.code, n.is_switch, n.normally_open, n.is_open);

DELETE FROM oms_topology.branch b USING old_branch o
WHERE b.branch_no = o.branch_no AND EXISTS (SELECT FROM changed_branch);

INSERT INTO oms_topology.branch (from_no, to_no, kind, code, is_switch, normally_open, is_open)
SELECT f.device_no, t.device_no, n.kind, NULLIF(n.code, ''), n.is_switch, n.normally_open, n.is_open
FROM new_branch n
JOIN new_device f ON f.row_no = n.from_row
JOIN new_device t ON t.row_no = n.to_row
WHERE EXISTS (SELECT FROM changed_branch)
ORDER BY n.row_no;

UPDATE oms_topology.device d SET is_stale = true
FROM changed_branch c WHERE d.device_no IN (c.from_no, c.to_no) AND NOT d.is_stale;

SELECT oms_topology.settle();
