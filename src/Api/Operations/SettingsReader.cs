using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;

namespace Gradus.Api.Operations;

/// <summary>Reads a section into a record of numbers, texts, switches and lists, and refuses what it does not know or what is out of range.</summary>
internal static class SettingsReader
{
    /// <exception cref="SettingsException">With the full name of the setting.</exception>
    public static T Read<T>(IConfigurationSection section) where T : new()
    {
        object settings = new T();
        foreach (var child in section.GetChildren())
        {
            var property = typeof(T).GetProperty(child.Key, BindingFlags.Public | BindingFlags.Instance | BindingFlags.IgnoreCase)
                ?? throw new SettingsException($"{child.Path} is not a setting; there are {string.Join(", ", typeof(T).GetProperties().Select(known => known.Name))}.");
            property.SetValue(settings, Value(child, property));
        }
        return (T)settings;
    }

    private static object Value(IConfigurationSection child, PropertyInfo property)
    {
        if (property.PropertyType == typeof(IReadOnlyList<string>))
            return child.Value?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [.. child.GetChildren().Select(item => item.Value ?? "")];
        var text = child.Value ?? throw new SettingsException($"{child.Path} is a section; expected is one value.");
        if (property.PropertyType == typeof(string)) return text;
        var kind = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
        object value;
        try
        {
            value = kind == typeof(bool) ? bool.Parse(text) : Convert.ChangeType(text, kind, CultureInfo.InvariantCulture);
        }
        catch (Exception problem) when (problem is FormatException or OverflowException or InvalidCastException)
        {
            throw new SettingsException($"{child.Path} is '{text}'; expected is {(kind == typeof(bool) ? "true or false" : "a number")}.");
        }
        if (property.GetCustomAttribute<RangeAttribute>() is { } range)
        {
            var (low, high, number) = (Convert.ToDouble(range.Minimum), Convert.ToDouble(range.Maximum), Convert.ToDouble(value));
            if (!(number >= low && number <= high)) throw new SettingsException($"{child.Path} is {text}; allowed is {range.Minimum} to {range.Maximum}.");
        }
        return value;
    }
}
