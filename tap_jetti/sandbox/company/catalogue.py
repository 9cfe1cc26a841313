"""The catalogue of the company: providers, feeds, feed variants, variants and channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.sandbox.company.company import Company

STATUSES = ("Open", "Sent to vendor", "Processing", "Shipped", "Delivered", "Problem")
"""Names of the purchase statuses; every company chooses its own."""

_CUSTOM_CHANNELS = 3
_CONNECTED_SHARE = 0.9
_MASS_UPDATE_SHARE = 0.6


class Catalogue:
    """What is sold by whom; orders refer to it."""

    def __init__(self, company: Company) -> None:
        """Plan the catalogue of a company."""
        self._company = company
        counts = company.counts
        counts["purchase_statuses"] = len(STATUSES)
        counts["inventory_feeds"] = counts["dropship_providers"]
        counts["channels"] = counts["custom_channels"] = _CUSTOM_CHANNELS
        self._feeds = [
            1 + int(company.random.random() ** 1.5 * counts["inventory_feeds"])
            for _ in range(counts["inventory_feed_variants"])
        ]

    def provider(self, variant: int) -> int:
        """The provider of a variant: that of the feed that it is connected to."""
        return self._feeds[(variant - 1) % len(self._feeds)]

    def product(self, variant: int) -> int:
        """The product of a variant."""
        return 1 + (variant - 1) % self._company.counts["products"]

    def add(self) -> None:
        """Add all rows of the catalogue."""
        self._add_sellers()
        self._add_variants()
        self._add_feed_variants()

    def _add_sellers(self) -> None:
        company = self._company
        for row_id, name in enumerate(STATUSES, 1):
            company.add("purchase_statuses", row_id, name=name, level="default")
        for row_id in range(1, company.counts["channels"] + 1):
            company.add("channels", row_id, parentChannel="custom")
            # A custom channel has another id than its channel.
            channel = company.counts["channels"] + 1 - row_id
            company.add("custom_channels", row_id, channelId=channel)
        for row_id in range(1, company.counts["dropship_providers"] + 1):
            company.add("dropship_providers", row_id, status="active")
            webhook = row_id % 2 == 1
            company.add(
                "inventory_feeds",
                row_id,
                dropshipProviderId=row_id,
                resourceType="webhook" if webhook else "ftpCsv",
                resourceLocation=None if webhook else f"ftp://user:password@ftp.example.com/feed-{row_id}.csv",
                enabled=True,
            )
        for row_id in range(1, company.counts["vendors"] + 1):
            company.add("vendors", row_id)

    def _add_variants(self) -> None:
        company = self._company
        for row_id in range(1, company.counts["products"] + 1):
            vendor = 1 + row_id % company.counts["vendors"]
            company.add("products", row_id, vendor=f"Vendor {vendor}")
        for row_id in range(1, company.counts["variants"] + 1):
            product = self.product(row_id)
            company.add(
                "variants",
                row_id,
                sku=f"SKU-{row_id}",
                productId=product,
                vendorId=1 + product % company.counts["vendors"],
                dropshipProviderId=self.provider(row_id),
            )
        for row_id in range(1, company.counts["channel_variants"] + 1):
            company.add(
                "channel_variants",
                row_id,
                channelId=1 + row_id % company.counts["channels"],
                variantId=1 + (row_id - 1) % company.counts["variants"],
                externalSku=f"SKU-{1 + (row_id - 1) % company.counts['variants']}",
            )

    def _add_feed_variants(self) -> None:
        company = self._company
        rng = company.random
        mass_updates = {feed: company.recent_timestamp() for feed in set(self._feeds)}
        connected = []
        for row_id, feed in enumerate(self._feeds, 1):
            has_variant = row_id <= company.counts["variants"] and rng.random() < _CONNECTED_SHARE
            if has_variant:
                connected.append(row_id)
            company.add(
                "inventory_feed_variants",
                row_id,
                mass_updates[feed] if rng.random() < _MASS_UPDATE_SHARE else None,
                inventoryFeedId=feed,
                vendorSku=f"V-{row_id}",
                inventoryQuantity=rng.randrange(200),
                variantId=row_id if has_variant else None,
                status="connected" if has_variant else "pending",
            )
        for row_id in range(1, company.counts["inventory_feed_variant_connections"] + 1):
            company.add(
                "inventory_feed_variant_connections",
                row_id,
                inventoryFeedVariantId=rng.choice(connected) if connected else 1,
                action="connected",
            )
