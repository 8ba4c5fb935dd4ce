"""What the agent at the phone says, in Chinese and English, by situation (话术)."""

from __future__ import annotations

from collections.abc import Mapping

#: situation → (Chinese, English); names in braces are filled in
SAY: Mapping[str, tuple[str, str]] = {
    "emergency": (
        "您反映的情况涉及燃气安全，已按紧急情况处理，抢修中心已收到工单 {ticket}。请先按以下要求保证安全：",
        (
            "This is about gas safety and is treated as an emergency; the emergency crew has ticket {ticket}. "
            "Please make yourself safe first:"
        ),
    ),
    "known": (
        (
            "您反映的情况，我们在您来电之前已经发现：{since}发现{what}，并已建立工单 {ticket}，目前{state}，"
            "由{department}负责。{due}"
        ),
        (
            "We found this before you called: {what}, seen {since}. It is ticket {ticket}, now {state}, with the "
            "{department}. {due}"
        ),
    ),
    "planned_outage": (
        "您所在区域正在计划停供（{reason}），{start}开始，预计{end}恢复。{notice}",
        "Your area has a planned interruption ({reason}) since {start}; supply is expected back {end}. {notice}",
    ),
    "opened": (
        "您的投诉已受理，工单号 {ticket}，由{department}负责。{due}",
        "Your complaint has been taken. It is ticket {ticket}, with the {department}. {due}",
    ),
    "repeated": (
        "您反映的情况已有工单 {ticket}，目前{state}，由{department}负责，您本次的投诉已并入。{due}",
        "This is already ticket {ticket}, now {state}, with the {department}; your complaint was added to it. {due}",
    ),
    "reopened": (
        "我们此前处理过这一情况（工单 {ticket}）。您反映问题仍然存在，工单已重开，由{department}继续处理。{due}",
        (
            "We have worked on this before (ticket {ticket}). As it is not solved for you, the ticket is open again, "
            "with the {department}. {due}"
        ),
    ),
    "done": (
        "您反映的情况，我们此前已经发现并处理，工单 {ticket} 目前{state}。如仍有疑问，可登记投诉，我们将重新核实。",
        (
            "We found and handled this before: ticket {ticket} is {state}. If you still have doubts, we register a "
            "complaint and look at it again."
        ),
    ),
    "unlinked": (
        "您的投诉已受理，工单号 {ticket}。请提供户号、表号或用气用水用电地址，以便核对。{due}",
        (
            "Your complaint has been taken. It is ticket {ticket}. Please give the account, the meter number or the "
            "address of the supply, so that we can look it up. {due}"
        ),
    ),
    "nothing": (
        "目前没有发现您处的异常。您可以现在登记投诉，我们马上受理。",
        "Nothing unusual is known at your place. You can register a complaint now, and we take it up at once.",
    ),
    "unknown_place": (
        "没有查到这个户号、表号或地址，请再核对一次。",
        "This account, meter number or address is not known; please check it once more.",
    ),
}

#: further sentences → (Chinese, English)
MORE: Mapping[str, tuple[str, str]] = {
    "due": ("预计 {due} 前答复处理结果。", "You will have an answer by {due}."),
    "told": ("停供通知已于 {at} 发出。", "The notice was given {at}."),
    "not_told": (
        "系统中没有停供通知的记录，我们将核实并向您说明。",
        "No notice is on record; we will check and explain.",
    ),
    "checked": ("已核查：{check}，结果：{result}", "Checked: {check}; result: {result}"),
    "swap": (
        "已换表：旧表 {old} 止码 {stop} {unit}，新表 {new} 起码 {start} {unit}。",
        "The meter was changed: {old} stopped at {stop} {unit}, {new} started at {start} {unit}.",
    ),
    "outage_phone": (
        "到室外安全处后，拨打抢修电话 {phone}。",
        "Once you are safe outside, call the emergency number {phone}.",
    ),
    "outage_no_phone": (
        "到室外安全处后，拨打燃气抢修电话。",
        "Once you are safe outside, call the gas emergency service.",
    ),
}

#: what to do where gas escapes, in its order → (Chinese, English)
GAS_SAFETY: tuple[tuple[str, str], ...] = (
    (
        "不要开关电灯和任何电器，不要在室内打电话，不要使用明火。",
        "Do not switch lights or anything electric, do not use the telephone indoors, no open flame.",
    ),
    ("关闭表前阀门和灶前阀门。", "Shut the valve at the meter and those at the appliances."),
    ("打开门窗通风。", "Open doors and windows."),
    ("带领所有人离开室内，不要乘坐电梯。", "Leave with everybody; do not take the lift."),
)
