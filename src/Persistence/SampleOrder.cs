using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Gradus.Persistence;

/// <summary>In which order samples are read.</summary>
public enum SampleOrder
{
    /// <summary>The newest step first, inside it by index.</summary>
    Newest,

    /// <summary>By index, the newest step first where several have it.</summary>
    Index,

    /// <summary>The highest reward first, unscored ones last.</summary>
    Reward,

    /// <summary>The highest advantage first, those without one last.</summary>
    Advantage,

    /// <summary>Of one step: each group's best and worst by reward, group after group; then the others likewise.</summary>
    Group,
}

/// <summary>Where a page of samples ended: it holds the order that was asked for and the values it is sorted by.</summary>
/// <param name="Bits">The bits of the sorting number, so that no rounding can lose or repeat a row.</param>
public sealed record SampleCursor(SampleOrder Order, int? OnlyStep, long Bits, int Step, int Index)
{
    [JsonIgnore]
    public double Value => BitConverter.Int64BitsToDouble(Bits);

    public string Encode() => Convert.ToBase64String(JsonSerializer.SerializeToUtf8Bytes(this)).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    /// <exception cref="UnknownCursorException"/>
    public static SampleCursor Decode(string text)
    {
        try
        {
            var base64 = text.Replace('-', '+').Replace('_', '/');
            var json = Encoding.UTF8.GetString(Convert.FromBase64String(base64 + new string('=', (4 - base64.Length % 4) % 4)));
            return JsonSerializer.Deserialize<SampleCursor>(json) is { } cursor && Enum.IsDefined(cursor.Order) ? cursor : throw new UnknownCursorException(text);
        }
        catch (Exception wrong) when (wrong is FormatException or JsonException)
        {
            throw new UnknownCursorException(text);
        }
    }
}
