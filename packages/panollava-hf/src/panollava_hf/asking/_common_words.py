"""Common English words: what is typed like this is meant, and not a typing error for another word.

They are names of things that photographs show, colours, shapes, numbers, and words that differ by one letter from words
in questions about solids: "tree" from "three", "wall" from "ball".
"""

COMMON_WORDS = frozenset(
    """exit exits entrance painter painters artist player arena kitchen bathroom bedroom
    abode above alive alone amber angel angry ant ants apple apples arch arm arms arrange arrow arrows axe
    babies baby back backpack bad bag bags ball balloon balloons ban banana bar barn barrel barren basket bath
    bathtub beach bean beans bear beat bed beds bee beer bees behind behold beige bell bellow bells below belt
    bench benches berry bicycle bid big bike bikes bill bin bind bird birds black blacks blew block blocks blood
    blow blue blues boat boats bog boll bone bonus book books boot boots boss bot bottle bottles bow bowl bowls
    box boy boys brain branch bread brick bridge bridges bright bring broken bronze brother brown bucket bud
    building buildings bull bus buses bush bushes butterfly button cab cabinet cable cake calendar call can
    candle cap car card cards carpet carrel carrot cars castle cat cats cave ceiling chain chair chairs chap
    chat cheese cherry chest child children chip chop church circle circles clay clean cliff clock clocks closed
    closer closet cloth clothe cloud clouds club clue coach coast coat coats code coffee coin coins colander
    cold computer concrete cone cool copper corn corner cost cotton couch count country county course court cow
    cows crab crib crimson cross crossing crowd crown cube cubs cup cupboard cups curb cure curtain curtains
    cute cyan cylinder dam dark dead deal deer desert desk diamond dice dine ding dirty disc disk dive doctor
    dog dogs doll dolphin dome done donut door doors dot dots drab dragon drawer dream dress drill drink driver
    drug drum drunk dry duck ducks dune ear egg eggs eight ember empty engine eye factory fall fan far farm
    father fear fed fellow felt fence fences field fight find fine finger fire firm fish five flag flock floor
    flow flower flowers flue flute fly fog foot forest fork form forum fountain four fox frame fridge friend
    fright frog from frond front fruit fund gall game gap garage garden garlic gate gates gear ghost girl girls
    give glass glasses globe glove glow glue goat gold golden gone grab grain grape grass gray great greed green
    greet grey guitar gun guy hair hall ham hammer hand hands happy hard hat hats head heal hear heart heat
    heavy helicopter helix hello hen here hexagon hill hills hind hive hole holes home honey horn horse horses
    hose hospital hot hotel house houses huge hull hundred hungry hut ice indigo iron island jacket jam jar jug
    juice june kettle key keyboard keys kid kids killer kind king kite knee knife knight knot ladder lady lake
    lakes lamp lamps laptop large later leaf leather leaves led left leg legs lemon lent letter letters lid lift
    light lights lime line lines lion lip live lobe loft lone long loser loud lower lumber magenta mall man mane
    many map marble market maroon mask mat meal meat medal mellow melon member men metal mice might milk mill
    million mind mine mint mirror mode model mole money monitor monkey monster moon motel mother motorbike
    mountain mountains mouse mouth mud mug nail narrow near nearer nearest neck new night nine node nose number
    nurse nut oar ocean octagon office old olive onion open orange oval oven page painting paintings pan paper
    papers park pasta path pattern pea peach pear pears peas peer pen pencil pentagon people person persons
    petal phone phones piano picture pie pig pigs pillar pillow pine ping pink pipe pipes pizza plane planes
    plant plants plastic plate plates player plum pocket pole police poll pond pool poor poster pot potato power
    pox preen prince printer prism probe purple purpose purse puzzle pyramid pyramids queen quiet rabbit radio
    rail rain rake ram ran rang rare rat real rear rectangle red remind rice rich rid right ring river rivers
    road roads roar robe robot rock rocket rocks rod rode roll roof root rope rose rubber rug sad salad sand saw
    scarf scene scent school scone scooter scope screen screw sculpture sea seal seat server seven sever shade
    shake shame shape share shark shave shed sheep sheet shelf shelves shield ship ships shirt shirts shoe shoes
    shop shops shore short shot shower sight sign signs silk silver sing sink sister six skin skirt sky slide
    slot slow small smoke snake snot snow soap sock socks sofa soft soil soldier song soup space spade spare
    spat speaker sphere sphinx spider spiral spit spoon sport spot spring square squares stair stairs star stars
    statue statues steal steel step stone stones store storm stove street streets string stripe striped stripes
    student suitcase sun sung sword table tables tall tan tap tar tea teacher teal tear teeth television tell
    temple ten tent that there thick thin thing think thousand thread three throne thumb tie tiger tight tile
    tiles till timber tine tiny tire tired toe toilet toll tomato tone tongue tooth torus total towel tower
    towers toy toys train trains tram transparent tree trees triangle triangles truck trucks trumpet tube tune
    tunnel turquoise turtle twelve twenty tyre tyres udder umbrella under upper valley van vans vase vine
    violent violet violin wall wallet walls war wardrobe warm watch water wave waves wear wed wedge well were
    wet whale what wheat wheel wheels where white whole wide wind window windows wine wing wire wolf woman women
    wood wooden woods wool worker worm wring yard year yellow young zero zip zone""".split()
)
