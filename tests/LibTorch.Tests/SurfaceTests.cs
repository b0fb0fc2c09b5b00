using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using TorchSharp;
using Xunit;

namespace Gradus.LibTorch.Tests;

/// <summary>
/// Source that compiles against this assembly must compile against TorchSharp 0.106.0 and mean the same: every public member stands
/// in the list of TorchSharp's signatures (torchsharp-0.106.0.txt, made from that assembly's metadata), under its type, with the same
/// types, names of parameters, defaults, staticness and accessors.
/// </summary>
public sealed class SurfaceTests
{
    /// <summary>The list names these two enums in signatures only; their values are checked here by hand.</summary>
    private static readonly Dictionary<string, string[]> InSignaturesOnly = new()
    {
        ["TorchSharp.torch+RoundingMode"] = ["None=0", "trunc=1", "floor=2"],
        ["TorchSharp.torch+nn+Reduction"] = ["None=0", "Mean=1", "Sum=2"],
    };

    [Fact]
    public void EveryPublicMemberStandsInTheReference()
    {
        var reference = Reference();
        var strangers = new List<string>();
        int members = 0;
        foreach (var type in typeof(torch).Assembly.GetExportedTypes())
        {
            if (InSignaturesOnly.TryGetValue(type.FullName!, out var values))
            {
                Assert.Equal(values, Enum.GetValuesAsUnderlyingType(type).Cast<object>().Select(v => $"{Enum.GetName(type, v)}={v}"));
                continue;
            }
            if (!reference.TryGetValue(Header(type), out var allowed))
            {
                strangers.Add(Header(type));
                continue;
            }
            foreach (string member in Members(type))
            {
                members++;
                if (!allowed.Contains(member)) strangers.Add($"{type.FullName}: {member}");
            }
        }
        Assert.Empty(strangers);
        Assert.True(members > 500, $"only {members} members were seen");
    }

    [Theory]
    [InlineData(nameof(Sample.Plain), "Tensor Plain(long[] sizes, ScalarType? dtype = null)")]
    [InlineData(nameof(Sample.Variadic), "static Tensor[] Variadic(params long[] sizes)")]
    [InlineData(nameof(Sample.Pair), "ValueTuple<Tensor, Tensor> Pair(ref Byte x, bool keepdim = False, double eps = 1E-05)")]
    [InlineData(nameof(Sample.Generic), "T Generic<T>(IList<T> items)")]
    public void SignaturesAreWrittenAsInTheReference(string name, string expected) =>
        Assert.Contains(expected, Members(typeof(Sample)).Where(m => m.Contains(name, StringComparison.Ordinal)));

    private sealed class Sample
    {
        public torch.Tensor Plain(long[] sizes, torch.ScalarType? dtype = null) => throw new NotSupportedException($"{this}{sizes}{dtype}");
        public static torch.Tensor[] Variadic(params long[] sizes) => throw new NotSupportedException($"{sizes}");
        public (torch.Tensor, torch.Tensor) Pair(ref byte x, bool keepdim = false, double eps = 1e-5) => throw new NotSupportedException($"{this}{x}{keepdim}{eps}");
        public T Generic<T>(IList<T> items) => throw new NotSupportedException($"{this}{items}");
    }

    private static Dictionary<string, HashSet<string>> Reference()
    {
        using var reader = new StreamReader(typeof(SurfaceTests).Assembly.GetManifestResourceStream("reference")!);
        var types = new Dictionary<string, HashSet<string>>();
        HashSet<string> current = [];
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith("  ", StringComparison.Ordinal)) current.Add(line.Trim());
            else if (line.Contains(' ', StringComparison.Ordinal)) types[line.Trim()] = current = [];
        }
        return types;
    }

    private static string Header(Type t)
    {
        string kind = t.IsEnum ? "enum" : t.IsValueType ? "struct" : t.IsInterface ? "interface" : t is { IsAbstract: true, IsSealed: true } ? "static class" : "class";
        return $"{kind} {t.FullName}" + (t.BaseType is { } b && b != typeof(object) ? $" : {Name(b)}" : "");
    }

    private static IEnumerable<string> Members(Type type)
    {
        const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (var c in type.GetConstructors(All).Where(Visible)) yield return $"new {type.Name}({Parameters(c)})";
        foreach (var f in type.GetFields(All).Where(f => f.IsPublic || f.IsFamily)) yield return Static(f.IsStatic) + $"{Name(f.FieldType)} {f.Name}";
        foreach (var p in type.GetProperties(All))
        {
            var accessors = p.GetAccessors(true).Where(Visible).ToArray();
            if (accessors.Length == 0) continue;
            string get = accessors.Contains(p.GetMethod) ? "get; " : "", set = accessors.Contains(p.SetMethod) ? "set; " : "";
            yield return Static(accessors[0].IsStatic) + $"{Name(p.PropertyType)} {p.Name} {{ {get}{set}}}";
        }
        foreach (var m in type.GetMethods(All).Where(Visible))
        {
            if (m.IsSpecialName && !m.Name.StartsWith("op_", StringComparison.Ordinal)) continue;
            string generic = m.IsGenericMethod ? $"<{string.Join(",", m.GetGenericArguments().Select(a => a.Name))}>" : "";
            yield return Static(m.IsStatic) + $"{Name(m.ReturnType)} {m.Name}{generic}({Parameters(m)})";
        }
    }

    private static bool Visible(MethodBase m) => m.IsPublic || (m.IsFamily || m.IsFamilyOrAssembly) && m.Name != "Finalize";
    private static string Static(bool yes) => yes ? "static " : "";
    private static string Parameters(MethodBase m) => string.Join(", ", m.GetParameters().Select(Parameter));

    private static string Parameter(ParameterInfo p)
    {
        string prefix = p.IsDefined(typeof(ParamArrayAttribute)) ? "params " : p.ParameterType.IsByRef ? "ref " : "";
        string value = !p.HasDefaultValue ? "" : " = " + (p.RawDefaultValue is { } v ? Convert.ToString(v, CultureInfo.InvariantCulture) : "null");
        return $"{prefix}{Name(p.ParameterType)} {p.Name}{value}";
    }

    private static string Name(Type t)
    {
        if (t.IsByRef) return Name(t.GetElementType()!);
        if (t.IsArray) return Name(t.GetElementType()!) + "[]";
        if (Nullable.GetUnderlyingType(t) is { } inner) return Name(inner) + "?";
        if (t.IsGenericType) return $"{t.Name[..t.Name.IndexOf('`', StringComparison.Ordinal)]}<{string.Join(", ", t.GetGenericArguments().Select(Name))}>";
        if (t.IsEnum || t.IsGenericParameter) return t.Name;
        return t == typeof(object) ? "object" : t == typeof(void) ? "void" : Type.GetTypeCode(t) switch
        {
            TypeCode.Int32 => "int",
            TypeCode.Int64 => "long",
            TypeCode.Single => "float",
            TypeCode.Double => "double",
            TypeCode.Boolean => "bool",
            TypeCode.String => "string",
            _ => t.Name,
        };
    }
}
