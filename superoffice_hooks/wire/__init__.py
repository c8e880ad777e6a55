"""What SuperOffice puts on the wire: standard library only, no Django, no I/O."""
