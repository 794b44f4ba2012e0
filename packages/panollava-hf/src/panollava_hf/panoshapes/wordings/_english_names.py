"""What people call the colours and shapes in English.

A name must fit only one colour or shape of the scenes. `_` stands in a name whose words mean something else when they
stand alone: "Where is the party hat?" asks for a cone, "Where is the hat?" does not.
"""

#: Shares of the usual, the frequent and the rare names among the drawn ones.
_USUAL, _FREQUENT, _RARE = 0.55, 0.15, 0.3


def weighted(usual: str, frequent: str, rare: str) -> tuple[str, ...]:
    """Names separated by spaces, each repeated as often as people say it.

    Example:
        >>> names = weighted("red", "scarlet", "ruby maroon cherry_red")
        >>> {name: names.count(name) for name in names}
        {'red': 6, 'scarlet': 2, 'ruby': 1, 'maroon': 1, 'cherry_red': 1}
    """
    groups = [(usual.split(), _USUAL), (frequent.split(), _FREQUENT), (rare.split(), _RARE)]
    total = len(groups[-1][0]) / _RARE
    return tuple(name for names, share in groups for name in names for _ in range(round(share * total / len(names))))


#: Words before a colour that do not change which one it is.
_MODIFIERS = "bright light dark deep pale vivid strong plain solid pure brilliant soft faded shiny matte"


def _colour(usual: str, ish: str, frequent: str, rare: str, before: str) -> tuple[str, ...]:
    """Names of a colour: `ish` are "reddish" and the like, `before` are words of names such as "cherry red"."""
    phrases = [f"{word}_{usual}" for word in (*_MODIFIERS.split(), *before.split())]
    return weighted(usual, frequent, " ".join((ish, rare, *phrases)))


#: Names of the colours. The first is the usual one.
COLOUR_NAMES: dict[str, tuple[str, ...]] = {
    "red": _colour(
        "red",
        "reddish",
        "scarlet crimson",
        "ruby maroon vermilion vermillion carmine cherry_coloured cherry_colored tomato_coloured",
        "cherry tomato ruby blood brick fire lipstick strawberry apple rose wine cardinal Ferrari",
    ),
    "green": _colour(
        "green",
        "greenish",
        "emerald lime_green",
        "lime jade viridian grass_coloured leaf_coloured",
        "forest grass emerald olive mint bottle pea apple leaf sea jade moss pine jungle kelly neon",
    ),
    "blue": _colour(
        "blue",
        "bluish blueish",
        "navy azure",
        "cobalt sapphire cerulean ultramarine navy_coloured sky_coloured",
        "sky navy royal baby cobalt sapphire ocean midnight electric marine azure sea denim powder",
    ),
    "yellow": _colour(
        "yellow",
        "yellowish yellowy",
        "golden gold",
        "gold_coloured gold_colored lemon_coloured lemon_colored mustard_coloured sun_coloured banana_coloured",
        "lemon canary mustard banana golden sunny sunflower butter corn sun",
    ),
    "purple": _colour(
        "purple",
        "purplish purply",
        "violet lilac",
        "mauve lavender amethyst aubergine_coloured eggplant_coloured grape_coloured plum_coloured lilac_coloured",
        "grape plum royal lavender lilac violet aubergine eggplant amethyst imperial",
    ),
    "orange": _colour(
        "orange",
        "orangish orangey",
        "amber tangerine",
        "apricot_coloured mandarin_coloured carrot_coloured pumpkin_coloured carroty",
        "carrot pumpkin tangerine amber mango apricot sunset mandarin traffic burnt safety",
    ),
}

#: Nouns for the shapes. The first is the usual one. Their plural is in `plural`.
SHAPE_NAMES: dict[str, tuple[str, ...]] = {
    "sphere": weighted(
        "sphere ball",
        "orb globe round_thing round_object",
        """marble bubble bead balloon football soccer_ball basketball volleyball baseball beach_ball beachball
        bowling_ball tennis_ball golf_ball billiard_ball pool_ball snooker_ball ping_pong_ball exercise_ball
        rubber_ball toy_ball cannonball cannon_ball bauble pearl spheroid globule gumball roundish_object
        roundish_thing round_solid round_one round_shape round_item round_ball 3D_circle solid_sphere sphere_shape
        sphere_thing ball_thing ball_shape spherical_body sphear sfere spheare""",
    ),
    "cube": weighted(
        "cube box",
        "block square_block square_box",
        """die dice brick crate carton cuboid hexahedron square square_thing square_object square_shape square_one
        ice_cube sugar_cube toy_block building_block lego_block lego_brick wooden_block cardboard_box gift_box
        packing_case shipping_box parcel package boxy_thing 3D_square solid_cube cube_shape cube_thing cube_box
        cubic_block square_cube square_solid box_shape Rubik's_cube rubiks_cube dice_cube regular_hexahedron cubus""",
    ),
    "cone": weighted(
        "cone",
        "traffic_cone party_hat pointy_thing",
        """pylon funnel spike ice_cream_cone icecream_cone witch_hat witch's_hat witches_hat wizard_hat wizard's_hat
        pointed_hat pointy_hat birthday_hat clown_hat clown's_hat dunce_cap dunce_hat gnome_hat pointed_thing
        pointed_object pointy_object pointy_one pointy_shape pointed_solid road_cone safety_cone street_cone
        parking_cone waffle_cone sugar_cone ice_cone cornet spire teepee tepee tipi paper_cone cone_shape cone_thing
        solid_cone conical_hat conus""",
    ),
    "cylinder": weighted(
        "cylinder tube",
        "can pillar barrel drum",
        """tin pipe column roller log rod pole canister trash_can keg cask tin_can soda_can beer_can coke_can
        soup_can food_can drinks_can paint_can paint_tin oil_drum oil_barrel beer_barrel wine_barrel rain_barrel
        water_tank steam_roller rolling_pin round_column round_pillar round_tower stone_column stone_pillar
        tube_thing tubular_thing cylindrical_thing cylindrical_one cylinder_thing cylinder_shape solid_cylinder
        can_shape drain_pipe cardboard_tube cillinder sillinder cylindre cilindre""",
    ),
    "torus": weighted(
        "torus ring",
        "donut doughnut hoop ring_shape",
        """bagel tyre tire loop bracelet bangle annulus toroid lifebuoy lifebelt quoit inner_tube life_ring
        life_belt life_preserver life_buoy life_saver lifesaver swim_ring swimming_ring rubber_ring pool_ring
        hula_hoop key_ring onion_ring wedding_ring curtain_ring car_tyre car_tire bicycle_tyre bike_tire rubber_tyre
        steering_wheel O_ring circle_with_a_hole disc_with_a_hole disk_with_a_hole thing_with_a_hole
        object_with_a_hole shape_with_a_hole round_thing_with_a_hole thing_with_the_hole hollow_circle donut_thing
        donut_shape doughnut_shape ring_thing donought dounut""",
    ),
}
#: Adjectives for the shapes, before "object" or "thing".
SHAPE_ADJECTIVES: dict[str, tuple[str, ...]] = {
    "sphere": weighted(
        "spherical round",
        "ball-shaped sphere-shaped ball_like ball-like",
        "globe-shaped rounded roundish globular orb-like sphere-like sphere_like spheric",
    ),
    "cube": weighted(
        "cubic cube-shaped",
        "cubical box-shaped boxy square",
        "square-shaped cube-like cube_like box-like box_like boxlike block-like blocky squarish six-sided cuboidal",
    ),
    "cone": weighted(
        "conical cone-shaped",
        "cone_like cone-like pointy pointed",
        "conic tapered tapering spiky funnel-shaped pointed-top",
    ),
    "cylinder": weighted(
        "cylindrical cylinder-shaped",
        "tubular tube-shaped tube_like tube-like",
        "can-shaped barrel-shaped pipe-shaped drum-shaped cylinder-like cylinder_like cylindric pipe_like",
    ),
    "torus": weighted(
        "ring-shaped donut-shaped",
        "doughnut-shaped toroidal torus-shaped ring_like ring-like",
        "donut-like donut_like doughnut-like torus-like annular ringlike tyre-shaped hoop-shaped",
    ),
}
#: What stands after "object" or "thing" and tells its shape.
SHAPE_FEATURES: dict[str, tuple[str, ...]] = {
    "sphere": ("without_corners", "without_edges", "that_rolls", "with_no_corners", "that_can_roll"),
    "cube": ("with_six_sides", "with_square_sides", "with_corners", "with_six_faces", "with_eight_corners"),
    "cone": ("with_a_point", "with_a_pointed_top", "with_a_tip", "with_a_sharp_tip", "that_comes_to_a_point"),
    "cylinder": ("with_round_ends", "with_flat_round_ends", "with_circular_ends", "with_two_round_ends"),
    "torus": (
        "with_a_hole",
        "with_the_hole",
        "with_hole",
        "that_has_a_hole",
        "having_a_hole",
        "with_a_hole_in_it",
        "with_a_hole_in_the_middle",
        "with_a_hole_through_it",
        "with_an_opening",
    ),
}

THINGS = weighted(
    "object thing",
    "item shape one solid figure",
    """body form piece element entity thingy thingie thingamajig thingummy doodad whatsit geometric_shape
    geometric_object geometric_figure geometric_solid geometric_form 3D_shape 3D_object solid_object solid_figure""",
)
_IRREGULAR = {"die": "dice", "dice": "dice"}
#: What follows the noun in a name: "circles with a hole".
_ATTACHED = "_with_"


def plural(noun: str) -> str:
    """The plural of a noun.

    >>> plural("box"), plural("torus"), plural("body"), plural("thing"), plural("die")
    ('boxes', 'toruses', 'bodies', 'things', 'dice')
    >>> plural("party_hat"), plural("circle_with_a_hole"), plural("beach_ball")
    ('party_hats', 'circles_with_a_hole', 'beach_balls')
    """
    noun, attached, rest = noun.partition(_ATTACHED)
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith(("x", "s", "sh", "ch")):
        return f"{noun}es{attached}{rest}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies{attached}{rest}"
    return f"{noun}s{attached}{rest}"


#: The plurals of the nouns for the shapes.
SHAPE_PLURALS = {shape: tuple(plural(name) for name in names) for shape, names in SHAPE_NAMES.items()}
SHAPE_PLURALS["torus"] += ("tori",)
