SELECT token, name FROM chaos.names;
