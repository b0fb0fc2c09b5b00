namespace TorchSharp;

public enum DeviceType
{
    CPU = 0,
    CUDA = 1,
    MKLDNN = 2,
    OPENGL = 3,
    OPENCL = 4,
    IDEEP = 5,
    HIP = 6,
    FPGA = 7,
    MSNPU = 8,
    XLA = 9,
    MPS = 13,
    META = 14,
}

public static partial class torch
{
    /// <summary>"cpu", "cuda" or "cuda:1". The system's libtorch computes on the CPU only; others are refused by libtorch itself.</summary>
    public class Device
    {
        public DeviceType type { get; }

        /// <summary>-1: the current one.</summary>
        public int index { get; }

        public Device(string description)
        {
            string[] parts = description.Split(':');
            if (parts.Length > 2 || !Enum.TryParse<DeviceType>(parts[0], true, out var kind) || int.TryParse(parts[0], out _))
                throw new ArgumentException($"Invalid device '{description}': expected a type such as cpu or cuda, or a type and an index such as cuda:0.");
            type = kind;
            index = -1;
            if (parts.Length == 2)
            {
                if (!int.TryParse(parts[1], out int number) || number < 0) throw new ArgumentException($"Invalid device '{description}': the index after ':' must be a number of at least 0.");
                index = number;
            }
        }

        public Device(string deviceType, int index = -1) : this(index < 0 ? deviceType : $"{deviceType}:{index}") { }

        public Device(DeviceType deviceType, int index = -1)
        {
            type = deviceType;
            this.index = index;
        }

        public Device(int index) : this(DeviceType.CUDA, index) { }

        public static implicit operator Device(string description) => new(description);

        public override string ToString()
        {
            string name = type.ToString().ToLowerInvariant();
            return index < 0 ? name : $"{name}:{index}";
        }
    }

    public static readonly Device CPU = new(DeviceType.CPU);
    public static Device device(string description) => new(description);
    public static Device device(string deviceType, int index = -1) => new(deviceType, index);
    public static Device device(DeviceType deviceType, int index = -1) => new(deviceType, index);
    public static Device device(int index) => new(index);

    public static class cuda
    {
        /// <summary>Debian's libtorch is built for the CPU only.</summary>
        public static bool is_available() => false;
        public static int device_count() => 0;
    }
}
