using System.Globalization;
using System.Text;

namespace Gradus.Training.Text;

/// <summary>Python's strftime in English, for the codes that templates use; <c>%-d</c> is without leading zero. An unknown code stays as it is.</summary>
internal static class StrfTime
{
    public static string Format(DateTimeOffset time, string format)
    {
        var text = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            var bare = format[i] == '%' && i + 2 < format.Length && format[i + 1] == '-';
            var at = bare ? i + 2 : i + 1;
            if (format[i] != '%' || at >= format.Length || Value(time, format[at]) is not { } value)
            {
                text.Append(format[i]);
                continue;
            }

            text.Append(bare && value.TrimStart('0') is { Length: > 0 } trimmed ? trimmed : value);
            i = at;
        }

        return text.ToString();
    }

    private static string? Value(DateTimeOffset time, char code) => code switch
    {
        'Y' => Text(time, "yyyy"),
        'y' => Text(time, "yy"),
        'm' => Text(time, "MM"),
        'd' => Text(time, "dd"),
        'e' => time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
        'H' => Text(time, "HH"),
        'I' => Text(time, "hh"),
        'M' => Text(time, "mm"),
        'S' => Text(time, "ss"),
        'p' => Text(time, "tt"),
        'b' or 'h' => Text(time, "MMM"),
        'B' => Text(time, "MMMM"),
        'a' => Text(time, "ddd"),
        'A' => Text(time, "dddd"),
        'j' => time.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
        'F' => Text(time, "yyyy-MM-dd"),
        'T' => Text(time, "HH:mm:ss"),
        '%' => "%",
        _ => null,
    };

    private static string Text(DateTimeOffset time, string form) => time.ToString(form, CultureInfo.InvariantCulture);
}
