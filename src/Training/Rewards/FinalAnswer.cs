using System.Text.RegularExpressions;

namespace Gradus.Training.Rewards;

/// <summary>
/// Final answers and when two of them are equal: whole numbers and decimals by value (<c>+1,000.50</c> is <c>1000.5</c>, to any number of digits), everything else as text without the
/// white space around it.
/// </summary>
public static partial class FinalAnswer
{
    /// <summary>An answer longer than this is compared as text, whatever is in it.</summary>
    private const int LongestNumber = 1_000;

    /// <summary>
    /// The answer of a completion in its canonical form (equal answers have equal forms), for votes; null where it has none.
    /// </summary>
    /// <param name="requireFormat">The inside of <c>&lt;answer&gt;</c> in well-formed tags alone. Otherwise the answer part, and where that is no number the last
    /// number in it.</param>
    public static string? Of(string completion, bool requireFormat = true) => Of(ReasoningText.Split(completion), requireFormat);

    /// <summary>The most frequent answer, the earliest one of equals; null where there is none.</summary>
    public static string? Majority(IEnumerable<string?> answers)
    {
        var votes = new Dictionary<string, int>(StringComparer.Ordinal);
        var order = new List<string>();
        foreach (var answer in answers)
        {
            if (answer is null) continue;
            if (!votes.TryGetValue(answer, out var count)) order.Add(answer);
            votes[answer] = count + 1;
        }

        return order.Count == 0 ? null : order.MaxBy(answer => votes[answer]);
    }

    /// <summary>Whether two answers are equal.</summary>
    public static bool Equal(string answer, string reference) => Canonical(answer) == Canonical(reference);

    /// <summary>The form that equal answers share.</summary>
    public static string Canonical(string answer)
    {
        var text = answer.Trim();
        if (text.Length is 0 or > LongestNumber || !WholeNumber().IsMatch(text)) return text;
        var negative = text[0] == '-';
        var digits = text.Replace(",", "", StringComparison.Ordinal).TrimStart('+', '-').TrimStart('0');
        if (digits.Contains('.', StringComparison.Ordinal)) digits = digits.TrimEnd('0').TrimEnd('.');
        if (digits.Length == 0) return "0";
        if (digits[0] == '.') digits = "0" + digits;
        return negative ? "-" + digits : digits;
    }

    internal static string? Of(ReasoningText parts, bool requireFormat)
    {
        if (requireFormat) return parts is { WellFormed: true, Answer.Length: > 0 } ? Canonical(parts.Answer) : null;
        if (parts.Answer.Length == 0) return null;
        var whole = Canonical(parts.Answer);
        if (WholeNumber().IsMatch(whole)) return whole;
        string? last = null;
        foreach (var match in AnyNumber().EnumerateMatches(parts.Answer)) last = parts.Answer.Substring(match.Index, match.Length);
        return last is null ? whole : Canonical(last);
    }

    [GeneratedRegex(@"^[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?$|^[+-]?\.\d+$", RegexOptions.ECMAScript)]
    private static partial Regex WholeNumber();

    [GeneratedRegex(@"(?:(?<!\d)[+-])?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", RegexOptions.ECMAScript)]
    private static partial Regex AnyNumber();
}
