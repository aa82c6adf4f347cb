SELECT slot, coalesce(owner::text, ''), round(extract(epoch FROM at) * 1000)::bigint FROM chaos.owners ORDER BY at;
