DELETE FROM chaos.poison;
