package spec

// The parts of the spec.
const (
	Browsing  = "Browsing"
	Promotion = "Promotions"
	Ordering  = "Core ordering"
	Coupon    = "Coupons"
	Wishlist  = "Wishlists"
	Sharing   = "Sharing and reviews"
	Email     = "Email"
	Consent   = "Consent"
	Engage    = "Engage"
)

func of(k Kind, names ...string) []Property {
	out := make([]Property, len(names))
	for i, name := range names {
		out[i] = Property{name, k}
	}
	return out
}

func join(lists ...[]Property) (out []Property) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// What stands in more than one event.
var (
	product = join(
		of(Text, "product_id", "sku", "category", "name", "brand", "variant", "coupon", "currency", "url", "image_url"),
		of(Number, "price", "quantity", "value"), of(Whole, "position"),
	)
	choice   = of(Text, "type", "value")
	products = of(Products, "products")
	list     = of(Text, "list_id", "category")
	banner   = of(Text, "promotion_id", "creative", "name", "position")
	cart     = of(Text, "cart_id")
	order    = join(
		of(Text, "order_id", "affiliation", "coupon", "currency"),
		of(Number, "total", "revenue", "shipping", "tax", "discount"), products,
	)
	step   = join(of(Text, "checkout_id", "shipping_method", "payment_method"), of(Whole, "step"))
	coupon = of(Text, "order_id", "cart_id", "coupon_id", "coupon_name")
	wish   = of(Text, "wishlist_id", "wishlist_name")
	share  = of(Text, "share_via", "share_message", "recipient")
	mail   = of(Text, "email_id", "email_subject", "campaign_id", "campaign_name")

	aProduct = [][]string{{"product_id", "sku"}}
	anOrder  = [][]string{{"order_id"}}
)

var events = []*Event{
	{Part: Browsing, Name: "Products Searched", Says: "somebody searched for products", Needs: [][]string{{"query"}}, Properties: of(Any, "query")},
	{Part: Browsing, Name: "Product List Viewed", Older: "Viewed Product Category", Says: "somebody looked at a list or a category", Properties: join(list, products)},
	{Part: Browsing, Name: "Product List Filtered", Says: "somebody filtered a list or a category", Properties: join(list, of(Choices, "filters", "sorts"), products)},

	{Part: Promotion, Name: "Promotion Viewed", Older: "Viewed Promotion", Says: "somebody saw a promotion", Needs: [][]string{{"promotion_id", "name"}}, Properties: banner},
	{Part: Promotion, Name: "Promotion Clicked", Older: "Clicked Promotion", Says: "somebody followed a promotion", Needs: [][]string{{"promotion_id", "name"}}, Properties: banner},

	{Part: Ordering, Name: "Product Clicked", Older: "Clicked Product", Says: "somebody followed a product", Needs: aProduct, Properties: product},
	{Part: Ordering, Name: "Product Viewed", Older: "Viewed Product", Says: "somebody looked at a product", Needs: aProduct, Properties: product},
	{Part: Ordering, Name: "Product Added", Older: "Added Product", Says: "a product was put into the cart", Needs: aProduct, Properties: join(cart, product)},
	{Part: Ordering, Name: "Product Removed", Older: "Removed Product", Says: "a product was taken out of the cart", Needs: aProduct, Properties: join(cart, product)},
	{Part: Ordering, Name: "Cart Viewed", Says: "somebody looked at the cart", Properties: join(cart, products)},
	{Part: Ordering, Name: "Checkout Started", Older: "Started Order", Says: "somebody went to the till", Properties: join(order, of(Number, "value"))},
	{Part: Ordering, Name: "Checkout Step Viewed", Older: "Viewed Checkout Step", Says: "somebody saw a step of the checkout", Properties: step},
	{Part: Ordering, Name: "Checkout Step Completed", Older: "Completed Checkout Step", Says: "somebody completed a step of the checkout", Properties: step},
	{Part: Ordering, Name: "Payment Info Entered", Says: "somebody said how they pay", Properties: join(step, of(Text, "order_id"))},
	{Part: Ordering, Name: "Order Completed", Older: "Completed Order", Says: "an order was placed", Needs: anOrder, Properties: join(order, of(Text, "checkout_id"), of(Number, "subtotal"))},
	{Part: Ordering, Name: "Order Updated", Older: "Updated Order", Says: "an order was changed", Needs: anOrder, Properties: order},
	{Part: Ordering, Name: "Order Refunded", Says: "an order, or a part of it, was paid back", Needs: anOrder, Properties: order},
	{Part: Ordering, Name: "Order Cancelled", Says: "an order was called off", Needs: anOrder, Properties: order},

	{Part: Coupon, Name: "Coupon Entered", Says: "a coupon was entered", Properties: coupon},
	{Part: Coupon, Name: "Coupon Applied", Says: "a coupon holds", Properties: join(coupon, of(Number, "discount"))},
	{Part: Coupon, Name: "Coupon Denied", Says: "a coupon was refused", Properties: join(coupon, of(Text, "reason"))},
	{Part: Coupon, Name: "Coupon Removed", Says: "a coupon was taken off", Properties: join(coupon, of(Number, "discount"))},

	{Part: Wishlist, Name: "Product Added to Wishlist", Says: "a product was put onto a wish list", Needs: aProduct, Properties: join(wish, product)},
	{Part: Wishlist, Name: "Product Removed from Wishlist", Says: "a product was taken off a wish list", Needs: aProduct, Properties: join(wish, product)},
	{Part: Wishlist, Name: "Wishlist Product Added to Cart", Says: "a product went from a wish list into the cart", Needs: aProduct, Properties: join(wish, cart, product)},

	{Part: Sharing, Name: "Product Shared", Says: "somebody told others of a product", Needs: aProduct, Properties: join(share, product)},
	{Part: Sharing, Name: "Cart Shared", Says: "somebody showed others the cart", Properties: join(share, cart, products)},
	// The spec has a rating as text; senders that have a number are better off with it.
	{Part: Sharing, Name: "Product Reviewed", Says: "somebody reviewed a product", Needs: [][]string{{"product_id"}}, Properties: join(of(Text, "product_id", "review_id", "review_body"), of(Any, "rating"))},

	{Part: Email, Name: "Email Sent", Says: "a mail was handed over; of this house, not of the spec", Properties: mail},
	{Part: Email, Name: "Email Skipped", Says: "a mail was decided and could not go; of this house, not of the spec", Properties: mail},
	{Part: Email, Name: "Email Delivered", Says: "the server of the reader took a mail", Properties: mail},
	{Part: Email, Name: "Email Opened", Says: "a mail was opened", Properties: mail},
	{Part: Email, Name: "Email Link Clicked", Says: "a link of a mail was followed", Properties: join(mail, of(Text, "link_id", "link_url"))},
	{Part: Email, Name: "Email Bounced", Says: "a mail could not be delivered", Properties: mail},
	{Part: Email, Name: "Email Marked as Spam", Says: "a reader called a mail spam", Properties: mail},
	{Part: Email, Name: "Unsubscribed", Says: "a reader wants no more mail, or none of a list", Properties: join(mail, of(Text, "list_id", "list_name"))},

	{Part: Consent, Name: "Segment Consent Preference Updated", Says: "somebody changed what they permit; context.consent has it"},

	{Part: Engage, Name: "Audience Entered", Says: "somebody came into an audience", Needs: [][]string{{"audience_key"}}, Properties: of(Text, "audience_key"), Names: "audience_key", Named: Bool},
	{Part: Engage, Name: "Audience Exited", Says: "somebody left an audience", Needs: [][]string{{"audience_key"}}, Properties: of(Text, "audience_key"), Names: "audience_key", Named: Bool},
	{Part: Engage, Name: "Trait Computed", Says: "a computed trait has another value", Needs: [][]string{{"trait_key"}}, Properties: of(Text, "trait_key"), Names: "trait_key", Named: Any},
}
