"""Questions about things that no scene has."""

UNKNOWN_QUESTIONS = (
    "Where is the door?", "How many people are there?", "Is there a tree?", "What colour is the car?",
    "Describe the kitchen.", "Is the window to the left of the sofa?", "How many chairs can you see?",
    "Which is nearer, the lamp or the table?", "What is written on the sign?", "Is there a dog behind me?",
    "Where did I park my bicycle?", "What is the weather like?", "Is it day or night outside?",
    "Can you see a bridge over the river?", "How many windows does the church have?", "What kind of flowers are these?",
    "Is anybody wearing a hat?", "What is the man holding?", "Where are the stairs?", "Is the ceiling painted white?",
    "How tall is the tower?", "Which building is closest?", "Is there a mirror on the wall?", "What animal is that?",
    "Are there clouds in the picture?", "What time does the shop open?", "Where can I sit, is there a bench?",
    "How many wheels does the truck have?", "Is the fountain turned on?", "Where is the exit?",
    "Is there a red bus?", "What breed is the cat?", "Where is the black cube?", "Is there a pink ball?",
    "How many triangles are there?", "What is the capital of France?", "Who wrote Hamlet?", "Is there a bed in this room?",
    "Count the bottles on the shelf.", "Which language is spoken here?", "Does the boat have a sail?",
    "Where's the nearest toilet?", "What's on the desk?", "Is the fireplace lit?", "Are the mountains covered with snow?",
    "Name the painter of this picture.", "Is the statue made of bronze?", "What sport is played in this arena?",
    "Translate this sentence into German.", "Where is the white pyramid?",
    "문은 어디에 있나요?", "사람이 몇 명 있나요?", "나무가 보이나요?", "자동차는 무슨 색이에요?", "창문이 왼쪽에 있어요?",
    "의자가 몇 개 있습니까?", "뒤에 강아지가 있나요?", "건물이 보이나요?", "책상 위에 뭐가 있어?", "계단은 어디야?",
    "하늘에 구름이 있어?", "저 고양이는 무슨 색이야?", "간판에 뭐라고 쓰여 있나요?", "날씨가 어때?", "침대가 있나요?",
    "다리가 보여?", "램프와 소파 중 어느 것이 더 가까운가요?", "꽃은 무슨 색인가요?", "버스가 몇 대 있나요?", "검은색 상자가 있나요?",
)
