SELECT token FROM postrider.nodes WHERE name = 'NAME'
