"""The small sound file that most tests start from."""

ROWS = [(f"u{i % 4}", f"i{i % 5}", i % 10 / 2 + 0.5, 978300760 + i) for i in range(20)]
HEADER = "user_id,item_id,rating,timestamp\n"
GOOD = HEADER + "".join(f"{user},{item},{rating},{time}\n" for user, item, rating, time in ROWS)
