"""All scenarios, in the order in which they are listed."""

from scenario_azure_aws_active_active import AzureAwsActiveActive
from scenario_azure_aws_static import AzureAwsStatic
from scenario_expressroute_backup import ExpressRouteBackup
from scenario_expressroute_microsoft_peering import ExpressRouteMicrosoftPeering
from scenario_nat_traversal_static import NatTraversalStatic, NatTraversalStaticOnPremises

SCENARIOS = {each.name: each for each in (
    AzureAwsActiveActive, AzureAwsStatic, ExpressRouteMicrosoftPeering, NatTraversalStatic, NatTraversalStaticOnPremises,
    ExpressRouteBackup,
)}
