"""The bodies of deliveries in a third of their size: how they are stored.

Bodies are small and alike: nearly all of their letters are names that SuperOffice gives its keys
and fields. Deflate (RFC 1951) that knows these words beforehand leaves the values.
"""

import zlib
from typing import Final

LARGEST_PACKED: Final = 4096  # bytes; larger ones are stored as they are: a row tells their size

# The first byte says how the others are to be read. A packed body begins with its CRC-32: nearly
# any bytes are deflate of something.
_PLAIN, _WORDS_1 = b"\x00", b"\x01"
_WINDOW, _MEMORY, _LEVEL = -13, 6, 4  # small: making larger ones takes longer than the packing

# Rows depend on each letter of it: other words need another first byte. The most frequent stand
# last, where deflate names them in the fewest bits.
_WORDS: Final = (
    b'","X-SuperOffice-","quote_alternative.","ticket_message.","chat_session.","chat_message.",'
    b'"quote_line.","document.","activity.","appointment.","selection.","relation.","project.",'
    b'"projectmember.","associate.","ticket.","status","type","title","state","category",'
    b'"priority","location","comment","description","probability","probability_idx","earning",'
    b'"earning_percent","amount","currency_id","credited_id","comptr_id","saledate","saleType_id",'
    b'"reasonSold_id","reasonStalled_id","reason_id","rank","stakeholderrole_id",'
    b'"salestakeholder_id","projectmember_id","mtype_idx","source_table","destination_table",'
    b'"source_record","destination_record","reldef_id","relation_id","relcomment","relFlags",'
    b'"reversed","activeDate","startDate","endDate","done","do_by","alarm","task_idx","type_idx",'
    b'"status_idx","position_idx","postitText_id","suggestedDocumentId","document_id",'
    b'"appointment_id","tzLocationId","created_at","last_changed","ticket_status","ticket_type",'
    b'"owned_by","slevel","cust_id","connect_id","has_attachment","firstname","lastname",'
    b'"salutation","person_number","year_of_birth","retired","nomailing","phone","email",'
    b'"deleted","tooltip","events","state","mother_id","supportAssociateId","supportLanguageId",'
    b'"ticketPriorityId","ticket_priority_id","dbi_agent_id","dbi_key","dbi_last_modified",'
    b'"dbi_last_syncronized","activeErpLinks","activeInterests","activeLinks","kananame","xstop",'
    b'"soundEx","orgNr","orgnr","number1","number2","department","name","userdef_id",'
    b'"userdef2_id","text_id","source","category_idx","business_idx","country_id","group_idx",'
    b'"group_id","x_int","x_string","[D:20","[DT:20","T00:00:00","false","true","null",'
    b'{"EventId":"","Timestamp":"2026-0T1:00:00.Z","Changes":["registered",'
    b'"registered_associate_id","updated","updated_associate_id","updatedCount"],"Event":"'
    b'sale.changed","Event":"person.created","Event":"contact.deleted","PrimaryKey":1,'
    b'"Entity":"sale","Entity":"person","Entity":"contact","ContextIdentifier":"Cust",'
    b'"ContextIdentifier":"Default","ChangedByAssociateId":1,"WebhookName":"","Values":'
    b'{"sale_id":1,"project_id":1,"contact_id":1,"person_id":1},"FieldValues":{"contact_id":1,'
    b'"person_id":1,"associate_id":1,"registered":"2026-0","registered_associate_id":1,'
    b'"updated":"2026-0","updated_associate_id":1,"updatedCount":1}}'
)


def pack(body: bytes) -> bytes:
    """Return what is stored of a body; ``unpack`` gives back the same bytes."""
    if len(body) <= LARGEST_PACKED:
        deflate = zlib.compressobj(
            _LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _WORDS
        )
        packed = deflate.compress(body) + deflate.flush()
        if len(packed) + len(_crc(body)) < len(body):
            return _WORDS_1 + _crc(body) + packed
    return _PLAIN + body


def unpack(stored: bytes) -> bytes:
    """Return the body; raise ``ValueError`` for bytes that ``pack`` has not made."""
    way, rest = stored[:1], stored[1:]
    if way == _PLAIN:
        return rest
    if way == _WORDS_1:
        inflate = zlib.decompressobj(_WINDOW, _WORDS)
        try:
            body = inflate.decompress(rest[4:], LARGEST_PACKED)
        except zlib.error as error:
            raise ValueError(f"The stored body is damaged: {error}.") from None
        if inflate.eof and not inflate.unused_data and _crc(body) == rest[:4]:
            return body
    raise ValueError("The stored body is damaged, or was stored by a later release.")


def _crc(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4)
