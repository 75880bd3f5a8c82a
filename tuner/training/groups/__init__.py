"""Groups of lanes that train together on one device."""
