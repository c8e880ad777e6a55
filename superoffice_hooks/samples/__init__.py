"""A believable week of a CRM as its webhook deliveries, for trying an installation.

Standard library only. The same arguments give the same bytes. All companies are invented.
"""

from superoffice_hooks.samples.crm import Sample
from superoffice_hooks.samples.week import week

__all__ = ["Sample", "week"]
